"""`POST /v0|/v1/destinations/{type}/proxy`: sends for rudder-server, and reports on each job.

It sends once: rudder-server does the retrying. What each job is told stands in `_TOLD`.

| What came of a job | rudder-server is told | and does |
|---|---|---|
| `delivered` | 200, with the vendor's words | counts it as delivered |
| `retry` | the vendor's status where that means a retry there too, else 500 | sends it again |
| `rejected` | the vendor's status where that means an end there too, else 400 | aborts it |
| the vendor takes nothing from this connection now (401, 403, 407, a redirect) | 429 | sends it \
again for as long as it keeps jobs; a 500 it would give up after three hours |
| no answer in time | 504 | sends it again |
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import msgspec

from destination_router.contract.records import HttpRequest, Outcome, Reject
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.http_transport import RenewedTransport
from destination_router.delivery.item import Answer
from destination_router.delivery.outcomes import as_proven, took_something
from destination_router.delivery.permission import origin_of
from destination_router.delivery.plain_network import PlainTransport
from destination_router.delivery.sender import Sender, trusted_certificates
from destination_router.pipeline.connection import Connection, wordless
from destination_router.pipeline.packing import packed
from destination_router.transformer.carrying_out import CarryingOut
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.jobs import as_utf8
from destination_router.transformer.rest import Proxied, http_request
from destination_router.transformer.sequences import (
    THE_JOB,
    Carried,
    is_sent_later,
    job_name,
    read_alone,
    read_together,
)
from destination_router.transformer.statuses import EventStatus

FEATURE = "dataDelivery"

Transmit = Callable[[Connection, HttpRequest], Awaitable[dict[str, Outcome]]]
"""Sends a request once, for a connection."""

DELIVERED = 200
_ABORTED = 400
_NO_PROXY = 404
_TO_BE_RETRIED = 500
_TIMED_OUT = 504
_HTTP_CODE = re.compile("http_([345][0-9]{2})")
_THROTTLED = 429
_ASKS_FOR_RETRY = frozenset({408, _THROTTLED})

_TOLD = {"retry": _TO_BE_RETRIED, "rejected": _ABORTED, "suspect": _ABORTED, "held": _THROTTLED}
"""The status for rudder-server, if the vendor's own would mislead it."""

_NOT_WHOLE = "not sent: it is not whole, or the proxy's first version was asked for several jobs"

_MOST_PROVEN = 10_000
"""The most connections whose proven origins are remembered."""

_HELD = "held"


class JobStatus(msgspec.Struct, rename="camel"):
    """The result of one job."""

    status_code: int
    error: str
    metadata: msgspec.Raw


class _Report(msgspec.Struct, rename="camel", omit_defaults=True):
    status: int
    message: str
    response: list[JobStatus] | None = None
    destination_response: dict[str, Any] | None = None
    stat_tags: dict[str, str] | None = None


class _ProxyAnswer(msgspec.Struct):
    output: _Report


async def deliver(  # noqa: PLR0913 -- the last two by keyword
    name: str,
    destinations: Destinations,
    proxied: Proxied,
    transmit: Transmit,
    *,
    patience: float,
    counts: Counts | None = None,
) -> list[JobStatus]:
    """Send what rudder-server asks to be sent.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        proxied: the request to the proxy.
        transmit: sends a request once.
        patience: how long rudder-server waits for an answer, in seconds.
        counts: where what happens is counted; None: nowhere.

    Returns:
        The status of each job, in the order of their metadata.
    """
    counts = counts or Counts()
    metadata = _metadata(proxied)
    if is_sent_later(proxied):
        return [JobStatus(DELIVERED, "sent with its job's last request", raw) for raw in metadata]
    whose, statuses = await _sent(name, destinations, proxied, metadata, transmit, patience)
    for job in statuses:
        if job.status_code == DELIVERED:
            counts.add("delivered", whose)
        else:
            counts.add("refused", whose, str(job.status_code))
    return statuses


async def _sent(  # noqa: PLR0913, PLR0917 -- as `deliver`
    name: str,
    destinations: Destinations,
    proxied: Proxied,
    metadata: Sequence[msgspec.Raw],
    transmit: Transmit,
    patience: float,
) -> tuple[str, list[JobStatus]]:
    """Send; gives the connection's name, or the plugin's where there is none, and the statuses."""

    def nothing(status: int, why: str) -> tuple[str, list[JobStatus]]:
        return name, [JobStatus(status, why, raw) for raw in metadata]

    try:
        jobs, carried = _carried(proxied, metadata)
    except Reject as reject:
        return nothing(_ABORTED, str(reject))
    if not carried.requests or carried.jobs != set(jobs):
        return nothing(_TO_BE_RETRIED, _NOT_WHOLE)
    prepared = destinations.prepare_config(bytes(proxied.destination_config), carried.connection)
    if prepared.connection is None:
        return nothing(_ABORTED, prepared.problem)
    connection = prepared.connection

    async def send(part: HttpRequest) -> dict[str, Outcome]:
        outcomes = await transmit(connection, part)
        # A vendor's words may repeat what it knows from elsewhere.
        told = wordless if destinations.some_private else _as_it_is
        return {key: _held(told(outcome)) for key, outcome in outcomes.items()}

    carrying = CarryingOut(carried, partial(packed, connection), send)
    # What is known by the time that rudder-server stops waiting is told.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await carrying.run()
    late = f"{name} did not answer in time"
    return connection.name, [
        JobStatus(_TIMED_OUT, late, raw) if outcome is None else _status(raw, outcome)
        for raw, outcome in zip(metadata, map(carrying.outcome, jobs), strict=True)
    ]


def destination_of(proxied: Proxied) -> str:
    """Read the destination of a call to the proxy."""
    return job_name(_metadata(proxied)[0]).destination


def first_version(name: str, statuses: Sequence[JobStatus]) -> tuple[int, bytes]:
    """Answer with one job's status: the HTTP status and the body."""
    job = statuses[0]
    # A 404 means to rudder-server that there is no proxy: it would send the job again for ever.
    status = _ABORTED if job.status_code == _NO_PROXY else job.status_code
    report = _Report(
        status=status,
        message=_summary(statuses),
        destination_response={"response": job.error, "status": job.status_code},
        stat_tags=_tags(name, statuses),
    )
    return status, msgspec.json.encode(_ProxyAnswer(report))


def second_version(name: str, statuses: Sequence[JobStatus]) -> tuple[int, bytes]:
    """Answer with a status for each job: the HTTP status and the body."""
    worst = next((job.status_code for job in statuses if job.status_code != DELIVERED), DELIVERED)
    report = _Report(
        status=worst,
        message=_summary(statuses),
        response=list(statuses),
        stat_tags=_tags(name, statuses),
    )
    return DELIVERED, msgspec.json.encode(_ProxyAnswer(report))


def _metadata(proxied: Proxied) -> list[msgspec.Raw]:
    raw = bytes(proxied.metadata)
    if not raw.startswith(b"["):
        return [as_utf8(proxied.metadata)]
    return [as_utf8(one) for one in msgspec.json.decode(raw, type=list[msgspec.Raw])] or [
        msgspec.Raw(b"{}")
    ]


def _carried(proxied: Proxied, metadata: Sequence[msgspec.Raw]) -> tuple[list[str], Carried]:
    """Read which job each metadata is of, and what is to be sent for them.

    Raises:
        Reject: as `http_request`.
    """
    carried = read_together(proxied)
    if carried is not None:
        return [job_name(raw).id for raw in metadata], carried
    # Of several jobs in a request that is not ours, nobody knows whose its parts are.
    return [THE_JOB] * len(metadata), read_alone(proxied, http_request(proxied), metadata[0])


def _held(outcome: Outcome) -> Outcome:
    """Let an outcome that says nothing about a message be a retry, but recognisable."""
    if outcome.result == "held":
        return Outcome.retry(code=_HELD, detail=_words(outcome))
    return outcome


def _words(outcome: Outcome) -> str:
    return ": ".join(part for part in (outcome.code, outcome.detail) if part)


def _as_it_is(outcome: Outcome) -> Outcome:
    return outcome


def _status(metadata: msgspec.Raw, outcome: Outcome) -> JobStatus:
    if outcome.result == "delivered":
        return JobStatus(DELIVERED, outcome.detail, metadata)
    if outcome.code == _HELD and outcome.result == "retry":
        return JobStatus(_TOLD["held"], _words(outcome), metadata)
    found = _HTTP_CODE.fullmatch(outcome.code)
    status = int(found[1]) if found else 0
    if not status or _is_retried(status) != (outcome.result == "retry"):
        # The plugin knows better than the vendor's status whether to send again.
        status = _TOLD[outcome.result]
    return JobStatus(status, _words(outcome), metadata)


def _summary(statuses: Sequence[JobStatus]) -> str:
    taken = sum(job.status_code == DELIVERED for job in statuses)
    return f"{taken} of {len(statuses)} delivered"


def _tags(name: str, statuses: Sequence[JobStatus]) -> dict[str, str] | None:
    failed = next((job for job in statuses if job.status_code != DELIVERED), None)
    if failed is None:
        return None
    tags = EventStatus(failed.status_code, failed.error, "network").tags(
        FEATURE, name, failed.metadata
    )
    return {**(tags or {}), "errorType": _error_type(failed.status_code)}


def _error_type(status: int) -> str:
    """Name a failure as RudderStack's own destinations do (`@rudderstack/integrations-lib`)."""
    if status == _THROTTLED:
        return "throttled"
    return "retryable" if _is_retried(status) else "aborted"


def _is_retried(status: int) -> bool:
    return status in _ASKS_FOR_RETRY or status >= _TO_BE_RETRIED


_WORDS = 500

# As many as rudder-server asks for at a time, which bounds them: where they were fewer, one vendor
# that hangs would take them all. Those that stay open, idle, are bounded.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)


class Transmission:
    """Sends requests for any connection, over sockets that all connections share.

    Args:
        origins: which vendor's origin is sent elsewhere.
    """

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._settings = DeliverySettings(origins=dict(origins))
        self._transport: httpx.AsyncBaseTransport | None = None
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def send(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request once. A delivered outcome has the vendor's words as its detail."""
        if self._transport is None:
            self._transport = RenewedTransport(_connections)
        # The sender itself is cheap: what it sends over is shared.
        sender = Sender(connection, self._settings, transport=self._transport)
        answer = await sender.attempt(request)
        response = answer.response
        if response is None:
            return answer.outcomes
        answer = self._read(connection, request, answer)
        words = connection.told_answer(response.text.strip()[:_WORDS])
        taken = f"{response.status} {words}".strip()
        return {
            key: msgspec.structs.replace(outcome, detail=taken)
            if outcome.result == "delivered"
            else outcome
            for key, outcome in answer.outcomes.items()
        }

    def _read(self, connection: Connection, request: HttpRequest, answer: Answer) -> Answer:
        """Interpret an answer by what its origin took from the connection before."""
        proven = (connection.name, origin_of(request.url))
        if took_something(answer):
            self._proven[proven] = None
            if len(self._proven) > _MOST_PROVEN:
                self._proven.popitem(last=False)
        return as_proven(request, answer) if proven in self._proven else answer

    async def close(self) -> None:
        """Close every socket."""
        if self._transport is not None:
            await self._transport.aclose()


def _connections() -> httpx.AsyncBaseTransport:
    return PlainTransport(verify=trusted_certificates(), limits=_LIMITS)
