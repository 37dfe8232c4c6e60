"""The transformer as an ASGI app: what rudder-server calls, and what answers it."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from destination_router.config.origins import plain_origins
from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Reject
from destination_router.delivery.sender import redirected
from destination_router.garbage import Sweep
from destination_router.gateway.body_room import RETRY_AFTER_SECONDS, BodyRoom
from destination_router.gateway.request_body import Chunks, drain, read_body
from destination_router.gateway.request_headers import header
from destination_router.transformer import proxy
from destination_router.transformer.counts import SUMMARY_SECONDS, Counts, keep_telling
from destination_router.transformer.deletions import answer_jobs, read_request
from destination_router.transformer.destinations import Destinations, find_destinations
from destination_router.transformer.features import STAND_IN, UNKNOWN_UPSTREAM, features
from destination_router.transformer.jobs import destination_type
from destination_router.transformer.processing import Endpoint, process
from destination_router.transformer.proxy import Transmission
from destination_router.transformer.proxy_calls import ProxyCalls
from destination_router.transformer.rest import read_proxied
from destination_router.transformer.router_batches import batch_jobs
from destination_router.transformer.upstream import Upstream, refuse_private, upstream_client

MAX_BODY_BYTES = 200 * 1024 * 1024
"""How large a request may be, unpacked: rudder-transformer's own bound."""

MAX_BODIES_BYTES = 4 * MAX_BODY_BYTES
"""How much memory the bodies of all requests of a process may take together."""

_PLACE = "destination_router.place"
_STATUSES = {"too_large": 413, "overloaded": 503}
_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS), "X-Rudder-Should-Retry": "true"}
"""rudder-server sends again for as long as it reads this, and otherwise gives up with a panic."""

_DEFAULT_TIMEOUT = 60.0
_MILLISECONDS = re.compile("[0-9]{1,9}")  # 11 days; a number that no float holds is no wait
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Transform = Callable[[str, Destinations, bytes, Endpoint], bytes]


def create_transformer(  # noqa: PLR0913 -- all by keyword
    *,
    destinations: Mapping[str, Destinations] | None = None,
    overlays: Sequence[ConnectionConfig] = (),
    origins: Mapping[str, str] | None = None,
    upstream: str | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_bodies_bytes: int = MAX_BODIES_BYTES,
    counts: Counts | None = None,
    summary_seconds: float = SUMMARY_SECONDS,
) -> Starlette:
    """Build the app.

    Args:
        destinations: what is served, by its name in lower case; every installed plugin if None.
        overlays: connections of a router.toml, which give settings to destinations by name.
        origins: which vendor's origin is sent elsewhere.
        upstream: the base URL of the transformer that answers what is not ours.
        max_body_bytes: how large a request may be, unpacked.
        max_bodies_bytes: how much memory the bodies of all requests may take together.
        counts: where what happens is counted; of this process alone if None.
        summary_seconds: after how long what was counted is summed up in the log.

    Raises:
        SettingsError: an overlay cannot be used.
    """
    served = find_destinations(overlays) if destinations is None else destinations
    counts = counts or Counts()
    server = _Transformer(served, plain_origins(origins or {}), max_body_bytes, counts)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as open_until_the_end:
            open_until_the_end.push_async_callback(server.transmission.close)
            telling = asyncio.create_task(keep_telling(counts, summary_seconds))
            open_until_the_end.push_async_callback(_ended, telling)
            if upstream is not None:
                client = await open_until_the_end.enter_async_context(upstream_client(upstream))
                server.upstream = Upstream(upstream, client)
                # Else workers would remember different ones. Who waits for it could not be stopped.
                learning = asyncio.create_task(server.learn_features())
                open_until_the_end.callback(learning.cancel)
            yield

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", server.health, methods=["GET"]),
            Route("/metrics", server.metrics, methods=["GET"]),
            Route("/features", server.features, methods=["GET"]),
            Route("/v0/destinations/{type}", server.process, methods=["POST"]),
            Route("/routertransform", server.batch, methods=["POST"]),
            Route("/v0/destinations/{type}/proxy", server.proxy_first, methods=["POST"]),
            Route("/v1/destinations/{type}/proxy", server.proxy_second, methods=["POST"]),
            Route("/deleteusers", server.delete, methods=["POST"]),
            # What is ours by its path is so by every method, and in every version of the path.
            Route("/routertransform", server.not_here, methods=_EVERY_METHOD),
            Route("/deleteusers", server.not_here, methods=_EVERY_METHOD),
            Route("/{version}/destinations/{type}", server.unless_ours, methods=_EVERY_METHOD),
            Route(
                "/{version}/destinations/{type}/{rest:path}",
                server.unless_ours,
                methods=_EVERY_METHOD,
            ),
            Route("/{path:path}", server.elsewhere, methods=_EVERY_METHOD),
        ],
        middleware=[
            Middleware(PlainPaths),
            Middleware(_Places, room=BodyRoom(max_bodies_bytes)),
        ],
        exception_handlers={ClientDisconnect: _nobody_waits},
    )
    app.router.redirect_slashes = False
    return app


class _Transformer:
    """Answers requests; what is not for a destination of ours goes upstream, if there is one."""

    def __init__(
        self,
        destinations: Mapping[str, Destinations],
        origins: Mapping[str, str],
        max_body_bytes: int,
        counts: Counts,
    ) -> None:
        self._counts = counts
        self._destinations = destinations
        self._origins = origins
        self._max_body_bytes = max_body_bytes
        self._private_types = {name for name, one in destinations.items() if one.some_private}
        self._features = UNKNOWN_UPSTREAM
        self.upstream: Upstream | None = None
        self.transmission = Transmission(origins)
        self._proxy_calls: dict[str, ProxyCalls] = defaultdict(ProxyCalls)
        self._sweep = Sweep()

    async def health(self, _: Request) -> Response:
        return _json(b'{"status":"UP"}')

    async def metrics(self, _: Request) -> Response:
        from destination_router.transformer.exposition import (  # noqa: PLC0415 -- 4 MB, for few
            exposition,
        )

        text = exposition(self._counts.total(), one_process=not self._counts.is_shared)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def features(self, _: Request) -> Response:
        await self.learn_features()
        base = STAND_IN if self.upstream is None else self._features
        return _json(msgspec.json.encode(features(base, self._destinations)))

    async def learn_features(self) -> None:
        """Ask the upstream for its features; what it said last holds while it does not answer."""
        if self.upstream is not None:
            self._features = await self.upstream.features() or self._features

    async def process(self, request: Request) -> Response:
        name = _type(request)
        if name not in self._destinations:
            return await self.elsewhere(request)
        return await self._transformed(request, name, partial(process, counts=self._counts))

    async def batch(self, request: Request) -> Response:
        try:
            body = await self._read(request)
            name = destination_type(body).casefold()
        except Reject as reject:
            return _refused(reject)
        if name not in self._destinations:
            return await self.elsewhere(request, body)
        transform = partial(batch_jobs, counts=self._counts, calls=self._proxy_calls[name])
        return await self._transformed(request, name, transform, body)

    async def proxy_first(self, request: Request) -> Response:
        return await self._delivered(request, proxy.first_version)

    async def proxy_second(self, request: Request) -> Response:
        return await self._delivered(request, proxy.second_version)

    async def delete(self, request: Request) -> Response:
        try:
            body = await self._read(request)
            asked = read_request(body, self._destinations)
        except Reject as reject:
            return _refused(reject)
        if all(one is None for one in asked.ours):
            return await self.elsewhere(request, body)
        status, answers = await answer_jobs(asked, self._origins, self._delete_elsewhere)
        return _json(answers, status)

    async def _delete_elsewhere(self, jobs: Sequence[msgspec.Raw]) -> list[msgspec.Raw] | None:
        return None if self.upstream is None else await self.upstream.delete(jobs)

    async def elsewhere(self, request: Request, body: bytes | None = None) -> Response:
        """Let the upstream answer; `body` is what has been read already, and unpacked."""
        if self.upstream is None:
            return await self.not_here(request) if body is None else _not_found()
        unpacked = body is not None or bool(self._private_types)
        try:
            if body is None:
                encoding = request.headers.get("content-encoding") if unpacked else None
                body = await read_body(
                    request.stream(), encoding, self._max_body_bytes, request.scope[_PLACE]
                )
            if self._private_types:
                refuse_private(request.scope["path"], body, self._private_types)
        except Reject as reject:
            return _refused(reject)
        return await self.upstream.forward(request, body, unpacked=unpacked)

    async def unless_ours(self, request: Request) -> Response:
        if _type(request) not in self._destinations:
            return await self.elsewhere(request)
        return await self.not_here(request)

    async def not_here(self, request: Request) -> Response:
        await drain(request.stream(), self._max_body_bytes)
        return _not_found()

    async def _transformed(
        self, request: Request, name: str, transform: Transform, body: bytes | None = None
    ) -> Response:
        try:
            if body is None:
                body = await self._read(request)
            answer = transform(name, self._destinations[name], body, self._endpoint)
        except Reject as reject:
            return _refused(reject)
        self._sweep.saw(len(body))
        return _json(answer)

    async def _delivered(
        self,
        request: Request,
        written: Callable[[str, Sequence[proxy.JobStatus]], tuple[int, bytes]],
    ) -> Response:
        name = _type(request)
        if name not in self._destinations:
            return await self.elsewhere(request)
        try:
            content = await self._read(request)
            proxied = read_proxied(content)
            self._proxy_calls[name].called(
                proxy.destination_of(proxied), for_each_job=written is proxy.second_version
            )
            statuses = await proxy.deliver(
                name,
                self._destinations[name],
                proxied,
                self.transmission.send,
                patience=_patience(request),
                counts=self._counts,
            )
        except Reject as reject:
            return _refused(reject)
        status, body = written(name, statuses)
        return _json(body, status)

    async def _read(self, request: Request) -> bytes:
        scope, chunks = request.scope, Chunks(request.receive)
        encoding = header(scope, b"content-encoding")
        return await read_body(chunks, encoding, self._max_body_bytes, scope[_PLACE])

    def _endpoint(self, url: str) -> str:
        return redirected(url, self._origins) if self._origins else url


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _nobody_waits(_: Request, __: Exception) -> Response:
    """Answer who has left: nobody reads it, and nothing has failed here."""
    return Response(status_code=400)


def _type(request: Request) -> str:
    return str(request.path_params["type"]).casefold()


def _patience(request: Request) -> float:
    """How long rudder-server waits, in seconds; it says so in milliseconds."""
    text = request.headers.get("rdproxy-timeout", "")
    return int(text) / 1000 if _MILLISECONDS.fullmatch(text) else _DEFAULT_TIMEOUT


def _json(body: bytes, status: int = 200) -> Response:
    return Response(
        body, status, headers={"apiVersion": "2"}, media_type="application/json; charset=utf-8"
    )


def _not_found() -> Response:
    return PlainTextResponse("Not Found", 404, headers={"apiVersion": "2"})


def _refused(reject: Reject) -> Response:
    later = _LATER if reject.code == "overloaded" else {}
    return PlainTextResponse(
        f"{reject}\n", _STATUSES.get(reject.code, 400), headers={"apiVersion": "2", **later}
    )


class _Places:
    """Gives each request its place in the memory for bodies until it is answered.

    Args:
        app: what answers.
        room: that memory.
    """

    def __init__(self, app: ASGIApp, room: BodyRoom) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        with self._room.place() as place:
            await self._app({**scope, _PLACE: place}, receive, send)


class PlainPaths:
    """Routes by the plain path; what is passed on upstream keeps its own (`raw_path`).

    Args:
        app: whose routes are in lower case.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request under its plain path."""
        if scope["type"] == "http":
            scope = {**scope, "path": plain_path(scope["path"])}
        await self._app(scope, receive, send)


def plain_path(path: str) -> str:
    """Write a path in lower case, without `.`, `..` and slashes that separate nothing."""
    return posixpath.normpath("/" + path.lstrip("/")).casefold()
