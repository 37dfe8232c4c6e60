"""Where events come in over HTTP: RudderStack's gateway protocol → the event log.

Any RudderStack SDK can send here. An event is kept once the sender has read `ok`; whether a
destination can do anything with it is for the pipeline to say, later and for that event alone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from destination_router.eventlog.base import EventLog, LogUnavailableError
from destination_router.messages import MESSAGE_TYPES
from destination_router.model import Reject
from destination_router.pipeline.wire import split_batch
from destination_router.surfaces.enrichment import Arrival, enrich
from destination_router.surfaces.gateway_answers import ANSWERS
from destination_router.surfaces.request_body import drain, read_body

MAX_BODY_BYTES = 4000 * 1024
"""rudder-server's default for a body's size, unpacked (`Gateway.maxReqSizeInKB`)."""

_DRAINED_BODIES = 4


class _Intake(msgspec.Struct, frozen=True):
    """What one route takes.

    Attributes:
        split: cuts a body into events; raises `Reject`.
        kind: the call that the route stands for; None where each event says its own.
    """

    split: Callable[[bytes], list[bytes]]
    kind: str | None = None


def _one_event(body: bytes) -> list[bytes]:
    return [body]


_INTAKES = {
    "/v1/batch": _Intake(split_batch),
    **{f"/v1/{kind}": _Intake(_one_event, kind) for kind in MESSAGE_TYPES},
}


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def create_gateway(
    log: EventLog,
    write_keys: Collection[str],
    *,
    clock: Callable[[], datetime] = _now,
    new_id: Callable[[], str] = _new_id,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Starlette:
    """Build the app that takes events: `POST /v1/batch` and `/v1/{type}`, `GET /health`.

    Args:
        log: where events go. A request's events are appended in one call, all or none, and `ok`
            is answered only when that call has returned.
        write_keys: whom to let in; the user name of HTTP Basic authentication.
        clock: tells the time, with a time zone.
        new_id: makes the `messageId` of an event that has none.
        max_body_bytes: how large a body may be, unpacked.
    """
    gateway = _Gateway(log, write_keys, clock, new_id, max_body_bytes)
    app = Starlette(
        routes=[
            Route("/health", _health, methods=["GET"]),
            *(
                Route(path, partial(gateway.take, intake), methods=["POST"])
                for path, intake in _INTAKES.items()
            ),
        ],
        exception_handlers={404: _not_found, 405: _method_not_allowed},
    )
    app.router.redirect_slashes = False  # a POST to a wrong path is an error, as in rudder-server
    return app


class _Gateway:
    def __init__(
        self,
        log: EventLog,
        write_keys: Collection[str],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_body_bytes: int,
    ) -> None:
        self._log = log
        self._write_keys = tuple(key.encode() for key in write_keys)
        self._clock = clock
        self._new_id = new_id
        self._max_body_bytes = max_body_bytes

    async def take(self, intake: _Intake, request: Request) -> Response:
        """Answer one request, whatever becomes of it."""
        async with aclosing(request.stream()) as chunks:
            try:
                code = await self._accept(intake, request, chunks)
            except Reject as reject:
                code = reject.code
                await drain(chunks, _DRAINED_BODIES * self._max_body_bytes)
            except ClientDisconnect:
                code = "unreadable_body"
            except LogUnavailableError:
                code = "unavailable"
        return ANSWERS[code].response()

    async def _accept(self, intake: _Intake, request: Request, chunks: AsyncIterator[bytes]) -> str:
        self._admit(_basic_user(request.headers.get("authorization", "")))
        body = await read_body(
            chunks, request.headers.get("content-encoding"), self._max_body_bytes
        )
        if not body:
            raise Reject("missing_body", "send events in the body")
        arrival = Arrival(
            received_at=self._clock(),
            new_id=self._new_id,
            request_ip=_request_ip(request),
            kind=intake.kind,
        )
        await self._log.append([enrich(event, arrival) for event in intake.split(body)])
        return "accepted"

    def _admit(self, write_key: bytes) -> None:
        if not write_key:
            raise Reject("missing_write_key", "give the write key as the user name")
        # Every key is compared, so that the time it takes tells nothing about any of them.
        matches = [hmac.compare_digest(write_key, key) for key in self._write_keys]
        if not any(matches):
            raise Reject("invalid_write_key", "no source has this write key")


def _basic_user(authorization: str) -> bytes:
    """Read the user name by the rules of Go's `BasicAuth`; empty if there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        user, colon, _ = base64.b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b""
    return user if colon else b""


def _request_ip(request: Request) -> str:
    """Tell where a request came from: the first hop that a proxy names, else the peer."""
    first_hop = request.headers.get("x-forwarded-for", "").partition(",")[0].strip()
    return first_hop or (request.client.host if request.client else "")


async def _health(_: Request) -> Response:
    return JSONResponse({"server": "UP", "acceptingEvents": "TRUE", "mode": "NORMAL"})


async def _not_found(_: Request, __: Exception) -> Response:
    return ANSWERS["not_found"].response()


async def _method_not_allowed(_: Request, error: Exception) -> Response:
    response = ANSWERS["method_not_allowed"].response()
    response.headers.update(getattr(error, "headers", None) or {})
    return response
