"""`POST /v0|/v1/destinations/{type}/proxy`: sends for rudder-server, and reports on each job.

It sends once: rudder-server does the retrying.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from destination_router.contract.records import HttpRequest, Outcome, Reject
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection, wordless
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.job_items import item_places
from destination_router.transformer.refused_bulks import bulk_list, send_apart
from destination_router.transformer.rest import Proxied, http_request, read_proxied
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


class JobStatus(msgspec.Struct, rename="camel"):
    """What became of one job."""

    status_code: int
    error: str
    metadata: msgspec.Raw


class _Report(msgspec.Struct, rename="camel", omit_defaults=True):
    status: int
    message: str
    response: list[JobStatus] | None = None
    destination_response: dict[str, Any] | None = None
    stat_tags: dict[str, str] | None = None


class _Answer(msgspec.Struct):
    output: _Report


async def deliver(
    name: str,
    destinations: Destinations,
    body: bytes,
    transmit: Transmit,
    *,
    patience: float,
) -> list[JobStatus]:
    """Send what rudder-server asks to be sent.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        body: the request to the proxy.
        transmit: sends a request once.
        patience: how long rudder-server waits for an answer, in seconds.

    Returns:
        The status of each job, in the order of their metadata.

    Raises:
        Reject: `invalid_json`: it is no request for the proxy.
    """
    proxied = read_proxied(body)
    metadata = _metadata(proxied)
    prepared = destinations.prepare_config(bytes(proxied.destination_config))
    if prepared.connection is None:
        return [JobStatus(_ABORTED, prepared.problem, raw) for raw in metadata]
    connection = prepared.connection
    try:
        request = _for_jobs(http_request(proxied), metadata)
    except Reject as reject:
        return [JobStatus(_ABORTED, str(reject), raw) for raw in metadata]

    async def send(part: HttpRequest) -> dict[str, Outcome]:
        outcomes = await transmit(connection, part)
        if not destinations.some_private:
            return outcomes
        # A vendor's words may repeat what it knows from elsewhere.
        return {key: wordless(outcome) for key, outcome in outcomes.items()}

    try:
        async with asyncio.timeout(patience):
            outcomes = await send_apart(request, send)
    except TimeoutError:
        error = f"{name} did not answer in time"
        return [JobStatus(_TIMED_OUT, error, raw) for raw in metadata]
    return [_status(raw, outcomes[str(at)]) for at, raw in enumerate(metadata)]


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
    return status, msgspec.json.encode(_Answer(report))


def second_version(name: str, statuses: Sequence[JobStatus]) -> tuple[int, bytes]:
    """Answer with a status for each job: the HTTP status and the body."""
    worst = next((job.status_code for job in statuses if job.status_code != DELIVERED), DELIVERED)
    report = _Report(
        status=worst,
        message=_summary(statuses),
        response=list(statuses),
        stat_tags=_tags(name, statuses),
    )
    return DELIVERED, msgspec.json.encode(_Answer(report))


def _metadata(proxied: Proxied) -> list[msgspec.Raw]:
    raw = bytes(proxied.metadata)
    if not raw.startswith(b"["):
        return [proxied.metadata]
    return msgspec.json.decode(raw, type=list[msgspec.Raw]) or [msgspec.Raw(b"{}")]


def _for_jobs(request: HttpRequest, metadata: Sequence[msgspec.Raw]) -> HttpRequest:
    """Say on a request whose jobs it carries, and item by item if that is known of every one."""
    jobs = [str(at) for at in range(len(metadata))]
    request = msgspec.structs.replace(request, message_ids=tuple(jobs))
    name = bulk_list(request)
    if name is None:
        return request
    count = len(request.json[name])
    items: list[list[str]] = [[] for _ in range(count)]
    for job, raw in zip(jobs, metadata, strict=True):
        for at in item_places(raw, request.url, count):
            if 0 <= at < count:
                items[at].append(job)
    if not all(items) or {job for item in items for job in item} != set(jobs):
        return request
    return msgspec.structs.replace(request, items=tuple(map(tuple, items)))


def _status(metadata: msgspec.Raw, outcome: Outcome) -> JobStatus:
    if outcome.result == "delivered":
        return JobStatus(DELIVERED, "", metadata)
    found = _HTTP_CODE.fullmatch(outcome.code)
    status = int(found[1]) if found else 0
    if not status or _is_retried(status) != (outcome.result == "retry"):
        # The plugin knows better than the vendor's status whether to send again.
        status = _TO_BE_RETRIED if outcome.result == "retry" else _ABORTED
    words = ": ".join(part for part in (outcome.code, outcome.detail) if part)
    return JobStatus(status, words, metadata)


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
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def send(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request once."""
        if self._transport is None:
            verified = httpx.create_ssl_context()
            self._transport = httpx.AsyncHTTPTransport(verify=verified, limits=_LIMITS)
        # The sender itself is cheap, and closing it would close the shared sockets.
        sender = Sender(connection, self._settings, transport=self._transport)
        return (await sender.attempt(request)).outcomes

    async def close(self) -> None:
        """Close every socket."""
        if self._transport is not None:
            await self._transport.aclose()
