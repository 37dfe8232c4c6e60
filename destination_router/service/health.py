"""`/health`, `/ready` and `/metrics` for operators, in front of the gateway.

- `/health`: 200 while the log takes events, else 503; written as rudder-server's, so that its
  probes work here.
- `/ready`: 200 from when the router works until it is told to stop.
- `/metrics`: Prometheus's text format.

They need no write key, so keep them inside your network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from destination_router.eventlog.interface import Event, LogFileError, LogUnavailableError
from destination_router.eventlog.router_log import RouterLog
from destination_router.gateway.replies import HEALTH
from destination_router.service.metrics import Intake, Snapshot, exposition
from destination_router.service.protocol import BEGUN
from destination_router.service.workers_view import WorkersView


class CountedLog:
    """A log that counts what the gateway appends, and announces it to other processes."""

    def __init__(
        self, log: RouterLog, intake: Intake, announce: Callable[[], None] = lambda: None
    ) -> None:
        self._log = log
        self._intake = intake
        self._announce = announce

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        """Append, and count what was accepted."""
        await self._log.append(bodies, source)
        self._intake.received[source or ""] += len(bodies)
        self._announce()

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Read as from the log itself."""
        return await self._log.read(connection, after, limit)

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Commit as to the log itself."""
        await self._log.commit(connection, offsets)


class Operations:
    """An ASGI app: the operators' paths, and behind them the gateway, if there is one.

    Args:
        log: the router's.
        gateway: takes every other path; None in a process that only delivers.
        intake: counts requests to the gateway.
        workers: the workers of this process or others.
        posts: the results of posted alerts.
    """

    def __init__(
        self,
        log: RouterLog,
        gateway: ASGIApp | None,
        intake: Intake,
        workers: WorkersView,
        posts: Mapping[str, int],
    ) -> None:
        self.ready = False
        self._worked = False
        self._log = log
        self._gateway = gateway
        self._intake = intake
        self._workers = workers
        self._posts = posts
        self._own: dict[str, Callable[[], Awaitable[Response]]] = {
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        own = self._own.get(scope.get("path", ""))
        if own is not None and scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            await (await own())(scope, receive, send)
        elif self._gateway is None:
            if scope["type"] == "http":
                text = f"this process only delivers; it has {', '.join(self._own)}\n"
                await Response(text, 404)(scope, receive, send)
        elif scope["type"] == "http":
            await self._counted(self._gateway, scope, receive, send)
        else:
            await self._gateway(scope, receive, send)

    async def _counted(self, gateway: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        begun = scope.get(BEGUN, clock())

        async def counting(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                self._intake.answers[str(message["status"])] += 1
            elif not message.get("more_body", False):
                self._intake.latency.observe(clock() - begun)

        await gateway(scope, receive, counting)

    async def _health(self) -> Response:
        trouble = await self._trouble()
        up = trouble is None
        words = HEALTH if up else {**HEALTH, "db": "DOWN", "acceptingEvents": "FALSE"}
        return JSONResponse(words if up else {**words, "detail": trouble}, 200 if up else 503)

    async def _ready(self) -> Response:
        processes = self._workers.processes
        self._worked |= all(process.works for process in processes)
        # One that is started again later takes nothing from senders: the gateway stays open.
        ready = self.ready and self._worked
        told: dict[str, object] = {"ready": ready}
        if processes:
            told["workers"] = [
                {"share": each.share, "ready": each.works, "connections": list(each.connections)}
                for each in processes
            ]
        return JSONResponse(told, 200 if ready else 503)

    async def _metrics(self) -> Response:
        await self._workers.look()
        snapshot = Snapshot(
            intake=None if self._gateway is None else self._intake,
            deliveries=self._workers.stats(),
            lags=await self._log.lags(),
            letters=await self._log.dead_letters(),
            lost_letters=self._workers.lost_letters,
            expired=self._workers.expired_events,
            failures=self._workers.failures,
            alerts=self._posts,
            log_bytes=await self._log.size(),
            letter_bytes=await self._log.letters_size(),
            writable=await self._trouble() is None,
            processes=self._workers.processes,
        )
        return Response(exposition(snapshot), media_type=CONTENT_TYPE_LATEST)

    async def _trouble(self) -> str | None:
        try:
            await self._log.check()
        except (LogUnavailableError, LogFileError) as error:
            return str(error)
        return None
