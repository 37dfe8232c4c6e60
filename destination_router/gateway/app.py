"""Takes events over HTTP, by RudderStack's gateway protocol, into the event log.

Any RudderStack SDK can send here. An event is kept once the sender has read `ok`. The pipeline
decides later, for each event alone, whether a destination can use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import count

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.contract.records import Json, Reject
from destination_router.eventlog.interface import EventLog, LogFileError, LogUnavailableError
from destination_router.garbage import Sweep
from destination_router.gateway.body_room import BodyRoom, Place
from destination_router.gateway.cors import Cors
from destination_router.gateway.enrichment import Arrival, enrich, enrich_usual
from destination_router.gateway.import_batches import split_import, take_by_user
from destination_router.gateway.pixel import GIF, pixel_event
from destination_router.gateway.replies import ANSWERS, HEALTH, import_reply
from destination_router.gateway.request_body import Chunks, drain, read_body
from destination_router.gateway.request_headers import header
from destination_router.gateway.source_config import source_config
from destination_router.gateway.sources import Sources
from destination_router.gateway.write_keys import any_key, header_key, query_key
from destination_router.pipeline.wire import split_batch, standard_batch
from destination_router.threads import in_thread

MAX_BODY_BYTES = 4000 * 1024
"""rudder-server's default for a body's size, unpacked (`Gateway.maxReqSizeInKB`)."""

MAX_EVENTS = 10_000
"""A hundred times what SDKs put into a request; each event costs a little beside its bytes."""

MAX_BODIES_BYTES = 64 * 2**20
"""Sixteen of the largest bodies, beside any number of small ones: `body_room`."""

_DRAINED_BODIES = 4

_AT_ONCE_BYTES = 8 * 1024
_AT_ONCE_PARTS = 64
"""A body with no more objects and arrays than this is read at once; it takes a millisecond."""

_AT_ONCE_BATCH_BYTES = 192 * 1024
_AT_ONCE_EVENTS = 256
_AT_ONCE_FIELDS = 8192
"""So is a batch of standard JSON, as SDKs send it; more of it is cut apart in a thread. An event
that has to be put together anew costs a microsecond for each of its fields."""

_EVENT_BYTES = 100
"""The memory of an event beside its own bytes."""

_LONGEST_ADDRESS = 64
"""The longest address. A sender may write anything there, and each event gets a copy."""


class _Intake(msgspec.Struct, frozen=True):
    """The requests of one route.

    Attributes:
        split: cuts a body into events, so many at most; raises `Reject`.
        kind: the call that the route stands for; None where each event says its own.
        key: finds the write key; raises `Reject`.
        by_user: whether each user's events are kept or refused alone.
    """

    split: Callable[[bytes, int], list[bytes]]
    kind: str | None = None
    key: Callable[[Request], bytes] = header_key
    by_user: bool = False


def _one_event(body: bytes, _: int) -> list[bytes]:
    return [body]


_INTAKES = {
    "/v1/batch": _Intake(split_batch),
    "/v1/import": _Intake(split_import, by_user=True),
    "/beacon/v1/batch": _Intake(split_batch, key=query_key),
    "/v1/webhook": _Intake(_one_event, key=any_key),
    **{f"/v1/{kind}": _Intake(_one_event, kind) for kind in (*MESSAGE_TYPES, "merge")},
}
_PIXELS = ("track", "page")

_ACCEPTED = ANSWERS["accepted"].response()
_FAILED = PlainTextResponse("Internal Server Error", 500)
"""Shared answers. Nobody changes them."""


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def _no_destinations(_: str) -> Sequence[dict[str, Json]]:
    return ()


def _count_nothing(_: str, __: str) -> None:
    pass


def create_gateway(  # noqa: PLR0913 -- each is a setting, by keyword
    log: EventLog,
    sources: Sources,
    *,
    clock: Callable[[], datetime] = _now,
    new_id: Callable[[], str] = _new_id,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_events: int = MAX_EVENTS,
    max_bodies_bytes: int = MAX_BODIES_BYTES,
    destinations: Callable[[str], Sequence[dict[str, Json]]] = _no_destinations,
    refused: Callable[[str, str], None] = _count_nothing,
) -> ASGIApp:
    """Build the app that takes events, on the paths of rudder-server's gateway.

    Args:
        log: where events go. A request's events are appended in one call, all or none, and `ok`
            is answered only when that call has returned.
        sources: whom to let in, by the user name of HTTP Basic authentication.
        clock: tells the time, with a time zone.
        new_id: makes the `messageId` of an event that has none.
        max_body_bytes: how large a body may be, unpacked.
        max_events: how many events a request may hold.
        max_bodies_bytes: how much memory the bodies of all requests may take together.
        destinations: the destinations that browsers of a source load by themselves:
            `device_destinations`.
        refused: is told of each request that is refused: its source, empty where it is not known,
            and the code of why.
    """
    bounds = _Bounds(max_body_bytes, max_events, max_bodies_bytes)
    gateway = _Gateway(log, sources, clock, new_id, bounds, refused)
    told = partial(gateway.source, destinations)
    app = Starlette(
        routes=[
            Route("/", _health, methods=["GET"]),
            Route("/health", _health, methods=["GET"]),
            Route("/version", _version, methods=["GET"]),
            Route("/robots.txt", _robots, methods=["GET"]),
            Route("/sourceConfig", told, methods=["GET"]),
            Route("/sourceConfig/", told, methods=["GET"]),
            Route("/v1/webhook", _empty, methods=["GET"]),
            *(
                Route(f"/pixel/v1/{kind}", partial(gateway.see, kind), methods=["GET"])
                for kind in _PIXELS
            ),
            *(
                Route(path, partial(gateway.take, intake), methods=["POST"])
                for path, intake in _INTAKES.items()
            ),
        ],
        exception_handlers={404: _not_found, 405: _method_not_allowed},
    )
    app.router.redirect_slashes = False  # a POST to a wrong path is an error, as in rudder-server
    return Cors(_Ahead(app, gateway))


class _Ahead:
    """Answers what takes events, ahead of Starlette's layers and routes, which see to all else.

    They do nothing for these requests, and take as long as it takes to read a small one.

    Args:
        app: Starlette's.
        gateway: answers requests that bring events.
    """

    def __init__(self, app: ASGIApp, gateway: _Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        intake = _INTAKES.get(scope["path"]) if is_post else None
        if intake is None:  # also where the app is mounted below a path of another one
            await self._app(scope, receive, send)
            return
        try:
            response = await self._gateway.take(intake, Request(scope, receive))
        except Exception:
            await _FAILED(scope, receive, send)  # so that it is counted
            raise
        await response(scope, receive, send)


class _Bounds(msgspec.Struct, frozen=True):
    """The bounds of requests: the bytes and events of each, and the bytes of all."""

    body_bytes: int
    events: int
    bodies_bytes: int


class _Gateway:
    def __init__(  # noqa: PLR0913, PLR0917 -- each is a setting of the gateway
        self,
        log: EventLog,
        sources: Sources,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        bounds: _Bounds,
        refused: Callable[[str, str], None],
    ) -> None:
        self._log = log
        self._sources = sources
        self._refused = refused
        self._clock = clock
        self._new_id = new_id
        self._bounds = bounds
        self._room = BodyRoom(bounds.bodies_bytes)
        self._sweep = Sweep()
        # One after the other: each takes all of a processor, and several times its size in memory.
        self._reading = asyncio.Lock()

    async def take(self, intake: _Intake, request: Request) -> Response:
        """Answer one request in any case."""
        source, more = "", False
        chunks = Chunks(request.receive)
        try:
            write_key = intake.key(request)
            sender = self._sources.find(write_key)
            source = sender.name
            sender.let_in()
            with self._room.place() as place:
                codes = await self._accept(intake, request, chunks, write_key, source, place)
                return import_reply(codes).response() if codes else _ACCEPTED
        except Reject as reject:
            code, more = reject.code, True
        except ClientDisconnect:
            code = "unreadable_body"
        except (LogUnavailableError, LogFileError):  # a router that delivers tells of a damaged one
            code = "unavailable"
        if more:  # drained here, where nothing holds what was read of the body any more
            with contextlib.suppress(ClientDisconnect):  # nobody waits for the answer
                await drain(chunks, _DRAINED_BODIES * self._bounds.body_bytes)
        self._refused(source, code)
        return ANSWERS[code].response()

    async def see(self, kind: str, request: Request) -> Response:
        """Keep the event of a pixel's query, if possible. The page gets its picture anyway."""
        with contextlib.suppress(Reject, LogUnavailableError, LogFileError):
            source = self._sources.admit(query_key(request)).name
            arrival = self._arrival(request, kind)
            query = request.query_params.multi_items()
            event = pixel_event(kind, query, arrival.received_at)
            if len(event) <= self._bounds.body_bytes:  # a short path may make a long list
                await self._log.append([enrich(event, arrival)], source)
        return Response(GIF, media_type="image/gif")

    async def source(
        self, destinations: Callable[[str], Sequence[dict[str, Json]]], request: Request
    ) -> Response:
        """Answer a browser SDK's question for its configuration."""
        try:
            write_key = any_key(request)
            source = self._sources.find(write_key)
        except Reject as reject:
            return ANSWERS[reject.code].response()
        return JSONResponse(
            source_config(write_key, source.name, destinations(source.name), enabled=source.enabled)
        )

    async def _accept(  # noqa: PLR0913, PLR0917 -- what is known of the request
        self,
        intake: _Intake,
        request: Request,
        chunks: Chunks,
        write_key: bytes,
        source: str,
        place: Place,
    ) -> Sequence[str]:
        """Keep a request's events. Return the code for each refused user.

        Raises:
            Reject, ClientDisconnect, LogUnavailableError: nothing of it is kept.
        """
        encoding = header(request.scope, b"content-encoding")
        body = await read_body(chunks, encoding, self._bounds.body_bytes, place)
        if not body:
            raise Reject("missing_body", "send events in the body")
        self._sweep.saw(len(body))
        arrival = self._arrival(request, intake.kind, write_key)
        taken = _taken_at_once(body, intake, arrival, self._bounds.events)
        if taken is None:
            take_apart = partial(_taken_apart, body, intake, arrival, self._bounds.events)
            async with self._reading:
                taken = await in_thread(take_apart, "gateway-body")
            del take_apart
        kept, codes = taken
        del body  # what is kept is another copy
        place.hold(sum(map(len, kept)) + _EVENT_BYTES * len(kept))
        if kept:
            await self._log.append(kept, source)
        for code in codes:
            self._refused(source, code)
        return codes

    def _arrival(self, request: Request, kind: str | None, write_key: bytes = b"") -> Arrival:
        return Arrival(
            received_at=self._clock(),
            new_id=self._new_id,
            request_ip=_request_ip(request),
            kind=kind,
            write_key=write_key,
        )


def _taken_at_once(
    body: bytes, intake: _Intake, arrival: Arrival, most: int
) -> tuple[list[bytes], list[str]] | None:
    """Do as `_taken_apart` if that takes no noticeable time; else return None.

    Raises:
        Reject: none of the request is kept.
    """
    if len(body) <= _AT_ONCE_BYTES and body.count(b"{") + body.count(b"[") <= _AT_ONCE_PARTS:
        return _taken_apart(body, intake, arrival, most)
    if len(body) > _AT_ONCE_BATCH_BYTES or intake.split is not split_batch:
        return None
    events = standard_batch(body, min(most, _AT_ONCE_EVENTS))
    if events is None:
        return None
    usual = enrich_usual(events, arrival)
    if usual is not None:
        return usual, []
    return _completed(events, intake, arrival) if body.count(b":") <= _AT_ONCE_FIELDS else None


def _taken_apart(
    body: bytes, intake: _Intake, arrival: Arrival, most: int
) -> tuple[list[bytes], list[str]]:
    """Cut a body into events and complete each.

    Returns:
        The events to keep, and the code for each refused user.

    Raises:
        Reject: none of the request is kept.
    """
    return _completed(intake.split(body, most), intake, arrival)


def _completed(
    events: Sequence[bytes], intake: _Intake, arrival: Arrival
) -> tuple[list[bytes], list[str]]:
    """Complete each event; as `_taken_apart`."""
    if not intake.by_user:
        return [enrich(event, arrival, place) for place, event in enumerate(events)], []
    places = count()

    def complete(event: bytes) -> bytes:
        return enrich(event, arrival, next(places))

    return take_by_user(events, complete)


def _request_ip(request: Request) -> str:
    """Find where a request came from: the first hop that a proxy names, or else the peer."""
    hops = header(request.scope, b"x-forwarded-for") or ""
    first_hop = hops.partition(",")[0].strip()
    if first_hop and len(first_hop) <= _LONGEST_ADDRESS:
        return first_hop
    client = request.scope.get("client")
    return client[0] if client else ""


async def _health(_: Request) -> Response:
    return JSONResponse(HEALTH)


async def _version(_: Request) -> Response:
    return JSONResponse(
        {
            "Version": version("heap-destination"),
            "Commit": "",
            "BuildDate": "",
            "BuiltBy": "",
            "Features": ["gzip-req-payload"],
        }
    )


async def _robots(_: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


async def _empty(_: Request) -> Response:
    return Response()


async def _not_found(_: Request, __: Exception) -> Response:
    return ANSWERS["not_found"].response()


async def _method_not_allowed(_: Request, error: Exception) -> Response:
    response = ANSWERS["method_not_allowed"].response()
    response.headers.update(getattr(error, "headers", None) or {})
    return response
