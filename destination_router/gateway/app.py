"""Where events come in over HTTP: RudderStack's gateway protocol → the event log.

Any RudderStack SDK can send here. An event is kept once the sender has read `ok`; whether a
destination can do anything with it is for the pipeline to say, later and for that event alone.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.contract.records import Json, Reject
from destination_router.eventlog.interface import EventLog, LogUnavailableError
from destination_router.gateway.cors import Cors
from destination_router.gateway.enrichment import Arrival, enrich
from destination_router.gateway.import_batches import split_import, take_by_user
from destination_router.gateway.pixel import GIF, pixel_event
from destination_router.gateway.replies import ANSWERS, HEALTH, Reply, import_reply
from destination_router.gateway.request_body import drain, read_body
from destination_router.gateway.source_config import source_config
from destination_router.gateway.sources import Sources
from destination_router.gateway.write_keys import any_key, header_key, query_key
from destination_router.pipeline.wire import split_batch

MAX_BODY_BYTES = 4000 * 1024
"""rudder-server's default for a body's size, unpacked (`Gateway.maxReqSizeInKB`)."""

_DRAINED_BODIES = 4


class _Intake(msgspec.Struct, frozen=True):
    """What one route takes.

    Attributes:
        split: cuts a body into events; raises `Reject`.
        kind: the call that the route stands for; None where each event says its own.
        key: finds the write key; raises `Reject`.
        by_user: whether each user's events are kept or refused alone.
    """

    split: Callable[[bytes], list[bytes]]
    kind: str | None = None
    key: Callable[[Request], bytes] = header_key
    by_user: bool = False


def _one_event(body: bytes) -> list[bytes]:
    return [body]


_INTAKES = {
    "/v1/batch": _Intake(split_batch),
    "/v1/import": _Intake(split_import, by_user=True),
    "/beacon/v1/batch": _Intake(split_batch, key=query_key),
    "/v1/webhook": _Intake(_one_event, key=any_key),
    **{f"/v1/{kind}": _Intake(_one_event, kind) for kind in (*MESSAGE_TYPES, "merge")},
}
_PIXELS = ("track", "page")


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
    destinations: Callable[[str], Sequence[dict[str, Json]]] = _no_destinations,
    refused: Callable[[str, str], None] = _count_nothing,
) -> Starlette:
    """Build the app that takes events, on the paths of rudder-server's gateway.

    Args:
        log: where events go. A request's events are appended in one call, all or none, and `ok`
            is answered only when that call has returned.
        sources: whom to let in, by the user name of HTTP Basic authentication.
        clock: tells the time, with a time zone.
        new_id: makes the `messageId` of an event that has none.
        max_body_bytes: how large a body may be, unpacked.
        destinations: what a browser of a source, by its name, loads by itself:
            `device_destinations`.
        refused: is told of each request that is refused: its source, empty where it is not known,
            and the code of why.
    """
    gateway = _Gateway(log, sources, clock, new_id, max_body_bytes, refused)
    told = partial(gateway.source, destinations)
    app = Starlette(
        middleware=[Middleware(Cors)],
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
    return app


class _Gateway:
    def __init__(  # noqa: PLR0913, PLR0917 -- each is a setting of the gateway
        self,
        log: EventLog,
        sources: Sources,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_body_bytes: int,
        refused: Callable[[str, str], None],
    ) -> None:
        self._log = log
        self._sources = sources
        self._refused = refused
        self._clock = clock
        self._new_id = new_id
        self._max_body_bytes = max_body_bytes

    async def take(self, intake: _Intake, request: Request) -> Response:
        """Answer one request, whatever becomes of it."""
        source = ""
        async with aclosing(request.stream()) as chunks:
            try:
                sender = self._sources.find(intake.key(request))
                source = sender.name
                sender.let_in()
                return (await self._accept(intake, request, chunks, source)).response()
            except Reject as reject:
                code = reject.code
                await drain(chunks, _DRAINED_BODIES * self._max_body_bytes)
            except ClientDisconnect:
                code = "unreadable_body"
            except LogUnavailableError:
                code = "unavailable"
        self._refused(source, code)
        return ANSWERS[code].response()

    async def see(self, kind: str, request: Request) -> Response:
        """Keep what a pixel's query says, if it can be kept; a page gets its picture anyway."""
        with contextlib.suppress(Reject, LogUnavailableError):
            source = self._sources.admit(query_key(request)).name
            arrival = self._arrival(request, kind)
            query = request.query_params.multi_items()
            event = pixel_event(kind, query, arrival.received_at)
            await self._log.append([enrich(event, arrival)], source)
        return Response(GIF, media_type="image/gif")

    async def source(
        self, destinations: Callable[[str], Sequence[dict[str, Json]]], request: Request
    ) -> Response:
        """Tell a browser SDK what it is to do."""
        try:
            write_key = any_key(request)
            source = self._sources.find(write_key)
        except Reject as reject:
            return ANSWERS[reject.code].response()
        return JSONResponse(
            source_config(write_key, source.name, destinations(source.name), enabled=source.enabled)
        )

    async def _accept(
        self, intake: _Intake, request: Request, chunks: AsyncIterator[bytes], source: str
    ) -> Reply:
        body = await read_body(
            chunks, request.headers.get("content-encoding"), self._max_body_bytes
        )
        if not body:
            raise Reject("missing_body", "send events in the body")
        complete = partial(enrich, arrival=self._arrival(request, intake.kind))
        events = intake.split(body)
        codes: list[str] = []
        if intake.by_user:
            kept, codes = take_by_user(events, complete)
        else:
            kept = [complete(event) for event in events]
        if kept:
            await self._log.append(kept, source)
        for code in codes:
            self._refused(source, code)
        return import_reply(codes)

    def _arrival(self, request: Request, kind: str | None) -> Arrival:
        return Arrival(
            received_at=self._clock(),
            new_id=self._new_id,
            request_ip=_request_ip(request),
            kind=kind,
        )


def _request_ip(request: Request) -> str:
    """Tell where a request came from: the first hop that a proxy names, else the peer."""
    first_hop = request.headers.get("x-forwarded-for", "").partition(",")[0].strip()
    return first_hop or (request.client.host if request.client else "")


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
