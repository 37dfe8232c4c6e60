"""`Router`: takes events and delivers them inside a host's own event loop.

    async with Router.from_config("router.toml") as router:
        await router.append([{"type": "track", "userId": "ada", "event": "Program Published"}])

Whatever blocks (the configuration, a plugin's import, the log's file) happens in threads: the
host's loop waits for none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.contract.messages import Message
from destination_router.contract.records import Json, Reject
from destination_router.delivery.sender import trusted_certificates
from destination_router.eventlog.interface import Order
from destination_router.eventlog.opening import claimed, open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.standing_book import give_order
from destination_router.gateway.app import create_gateway
from destination_router.gateway.enrichment import Arrival, enrich
from destination_router.gateway.source_config import device_destinations
from destination_router.gateway.sources import Sources
from destination_router.hosting.configuration import ConfigurationError
from destination_router.hosting.connection_stats import ConnectionStats, connection_stats
from destination_router.hosting.wire_message import wire_message
from destination_router.pipeline.connection import Connection
from destination_router.service.alert_messages import Origin
from destination_router.service.alert_rules import Sight, sight
from destination_router.service.alerts import Alerts
from destination_router.service.checking import check_config
from destination_router.service.health import CountedLog, Operations
from destination_router.service.metrics import Intake
from destination_router.service.serving import Asgi
from destination_router.service.workers import Workers, delivery_settings
from destination_router.threads import in_thread

_PREPARED_AT_ONCE = 50
"""Messages that are completed in less than a millisecond: more are, beside the event loop."""

_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5

_log = logging.getLogger(__name__)


class Router:
    """A router in your event loop.

    Make it with `from_config`. It starts when you enter it and ends when you leave it. An event is
    on disk once `append` has returned or the gateway has answered. What is not delivered when the
    router ends is delivered after its next start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gateway: _MountedGateway | None = None
        self._running: _Running | None = None
        self._entered = False

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """Name the router.toml. The router reads it when you enter it."""
        return cls(Path(path))

    async def __aenter__(self) -> Self:
        """Start.

        Raises:
            ConfigurationError: The router.toml cannot be used. It lists all mistakes.
            LogFileError: The log cannot be used, or another process delivers from it.
        """
        if self._entered:
            raise RuntimeError("a Router is entered once: make another with from_config")
        self._entered = True
        opening = _Opening(partial(_opened, self._path, gateway=self._gateway is not None))
        opened = await opening.run()
        self._running = _Running(opened)
        if self._gateway is not None:
            self._gateway.app = self._running.gateway()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let what is under way end, for a few seconds, and close the log.

        Raises:
            LogFileError: the log was damaged while the router worked.
        """
        running, self._running = self._running, None
        if self._gateway is not None:
            self._gateway.app = None
        if running is not None:
            await asyncio.shield(running.end())

    async def append(
        self,
        messages: Iterable[Message | Mapping[str, Json] | bytes | str],
        *,
        source: str | None = None,
    ) -> int:
        """Accept messages, all or none. They are on disk when this returns.

        Like the gateway, it adds a `messageId` and times if a message has none.

        Args:
            messages: JSON, the objects that the JSON stands for, or typed messages.
            source: the name of their source, for connections that take only some sources.

        Returns:
            How many there were.

        Raises:
            ValueError: One of them cannot be taken, so none is. The text says which, and what to
                do.
            LogUnavailableError: The log cannot be written now, so none is taken. Try again later.
        """
        running = self._at_work()
        given = list(messages)
        arrival = Arrival(received_at=datetime.now(UTC), new_id=_new_id)
        if len(given) <= _PREPARED_AT_ONCE:
            bodies = _completed(given, arrival)
        else:
            bodies = await in_thread(partial(_completed, given, arrival), "append")
        if bodies:
            await running.log.append(bodies, source)
        return len(bodies)

    async def drain(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 -- it answers
        """Wait until every connection is done with all messages that the router took.

        Each message is then delivered, filtered, or a dead letter. It also waits for messages that
        a vendor cannot take now, and for those of a connection that is paused or held.

        Args:
            timeout: the seconds to wait. None waits for ever.

        Returns:
            True if all is done, False if the time is over.
        """
        running = self._at_work()
        try:
            async with asyncio.timeout(timeout):
                await running.until_done()
        except TimeoutError:
            return False
        return True

    async def behind(self) -> dict[str, int]:
        """Count the messages in the log that each connection is not done with."""
        return await self._at_work().behind()

    def stats(self) -> dict[str, ConnectionStats]:
        """Return each connection's counts since the router started, and its state."""
        running = self._at_work()
        known = running.workers.stats()
        return {each.name: connection_stats(known.get(each.name)) for each in running.connections}

    async def pause(self, connection: str) -> None:
        """Send nothing for a connection until `resume`, even after a restart.

        Raises:
            ValueError: There is no such connection.
            LogUnavailableError: The log cannot be written now.
        """
        await self._at_work().order(connection, paused=True)

    async def resume(self, connection: str) -> None:
        """Go on sending. A held connection asks its vendor at once.

        Raises:
            ValueError: There is no such connection.
            LogUnavailableError: The log cannot be written now.
        """
        await self._at_work().order(connection, paused=False)

    def asgi_app(self) -> Asgi:
        """Return the gateway as an ASGI app, which you can mount under any path.

        Call it before you enter the router. Until then, and after the router's end, the app answers
        503. It also has `/health`, `/ready` and `/metrics`. If you serve it by itself, it starts
        and ends the router with the server's lifespan.
        """
        if self._gateway is None:
            if self._entered:
                raise RuntimeError("call asgi_app before the router is entered")
            self._gateway = _MountedGateway(self)
        return self._gateway

    def _at_work(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the router is not at work: use it inside `async with`")
        self._running.check()
        return self._running


class _Opened(msgspec.Struct, frozen=True):
    """What is held while a router works, and closed in the end."""

    config: RouterConfig
    connections: Sequence[Connection]
    log: RouterLog
    held: contextlib.ExitStack


def _opened(path: Path, *, gateway: bool) -> _Opened:
    """Read a router.toml, load its plugins, and open its log; blocks.

    Raises:
        ConfigurationError: as `Router.__aenter__`.
        LogFileError: the same.
    """
    found = check_config(path, gateway=gateway, console=False)
    if found.problems or found.config is None:
        raise ConfigurationError(found.problems)
    for words in found.warnings:
        _log.warning("configuration: %s", words)
    if found.config.console is not None:
        _log.warning("configuration: [console] is served by the command `console` alone")
    config = found.config
    trusted_certificates()  # a file, which the first request would read in the host's loop
    kept = {connection.name: connection.kept for connection in found.connections}
    with contextlib.ExitStack() as stack:
        stack.enter_context(claimed(config.eventlog, reloads=False))
        request_seconds = delivery_settings(config.delivery).timeout
        log = stack.enter_context(
            contextlib.closing(
                open_log(config.eventlog, list(kept), kept, request_seconds=request_seconds)
            )
        )
        return _Opened(config, found.connections, log, stack.pop_all())
    raise AssertionError  # an ExitStack swallows nothing here


class _Opening:
    """Opens beside the event loop; closes again what nobody waits for any more."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._abandoned = False
        self._opened: _Opened | None = None

    async def run(self) -> _Opened:
        try:
            return await in_thread(self._open, "router-opening")
        except asyncio.CancelledError:
            with self._lock:
                self._abandoned = True
                opened = self._opened
            if opened is not None:
                await asyncio.shield(in_thread(opened.held.close, "router-closing"))
            raise

    def _open(self) -> _Opened:
        opened: _Opened = self._work()
        with self._lock:
            if self._abandoned:
                opened.held.close()
            self._opened = opened
        return opened


class _Running:
    """The parts of a router at work."""

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened
        self.log = opened.log
        self.connections = opened.connections
        config = opened.config
        settings = delivery_settings(config.delivery)
        self.workers = Workers(opened.connections, opened.log, settings, config.quarantine)
        self._intake = Intake()
        origin = Origin(socket.gethostname(), "Router")
        self._alerts = Alerts(config.alerts, origin, self._see, self.log.check)
        self._alerting = asyncio.create_task(self._alerts.work(), name="router-alerts")
        self._working = asyncio.create_task(self.workers.work(), name="router")
        self._working.add_done_callback(_tell_failure)

    def check(self) -> None:
        """Tell whoever asks for something what has ended the router, if something has."""
        if self._working.done() and not self._working.cancelled():
            self._working.result()

    def gateway(self) -> Operations:
        config = self._opened.config
        app = create_gateway(
            CountedLog(self.log, self._intake),
            Sources(config.all_sources),
            max_events=config.gateway.max_events,
            max_bodies_bytes=config.gateway.max_bodies,
            destinations=lambda source: device_destinations(
                each for each in self.connections if each.takes_source(source)
            ),
            refused=self._intake.count_refusal,
        )
        while_at_work = _WhileAtWork(app, self._working)
        operations = Operations(
            self.log, while_at_work, self._intake, self.workers, self._alerts.posts
        )
        operations.ready = True
        self._working.add_done_callback(lambda _: setattr(operations, "ready", False))
        return operations

    def _see(self) -> Sight:
        return sight(
            self.workers.stats(),
            letters=self.workers.letters,
            lost_letters=self.log.lost_letters,
            expired=self.log.expired_events,
            failures=self.workers.failures,
        )

    async def behind(self) -> dict[str, int]:
        lags = await self.log.lags()
        names = [connection.name for connection in self.connections]
        return {name: lags[name].messages if name in lags else 0 for name in names}

    async def until_done(self) -> None:
        pause = _FIRST_LOOK
        while any((await self.behind()).values()):
            self.check()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def order(self, connection: str, *, paused: bool) -> None:
        names = [each.name for each in self.connections]
        if connection not in names:
            raise ValueError(f"there is no connection {connection!r}; name one of {names}")
        order = Order(paused, time.time())
        await self.log.transact(lambda database: give_order(database, connection, order))

    async def end(self) -> None:
        self._alerting.cancel()
        await asyncio.gather(self._alerting, return_exceptions=True)
        try:
            await self.workers.stop()
            await self._working
        finally:
            await in_thread(self._opened.held.close, "router-closing")


class _MountedGateway:
    """An ASGI app that may be mounted under a path, before its router works."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.app: Asgi | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or start and end the router with a server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self.app is not None:
            await self.app(_below(scope), receive, send)
        elif scope["type"] == "http":
            await _refuse(send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self._router.__aenter__()
        except Exception as error:  # noqa: BLE001 -- the server tells it and ends
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._router.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


class _WhileAtWork:
    """A gateway that takes nothing once its router has failed: nobody would deliver it."""

    def __init__(self, gateway: Asgi, working: asyncio.Task[None]) -> None:
        self._gateway = gateway
        self._working = working

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if not self._working.done():
            await self._gateway(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(send)


async def _refuse(send: Any) -> None:
    """Answer that the sender shall try again later."""
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"the router is not at work\n"})


def _below(scope: Any) -> Any:
    """Cut off the path under which the app is mounted."""
    root, path = scope.get("root_path", ""), scope["path"]
    if not root or not path.startswith(root):
        return scope
    return {**scope, "path": path[len(root) :] or "/", "root_path": ""}


def _completed(
    messages: Sequence[Message | Mapping[str, Json] | bytes | str], arrival: Arrival
) -> list[bytes]:
    bodies = []
    for number, message in enumerate(messages):
        try:
            bodies.append(enrich(wire_message(message), arrival))
        except Reject as reject:
            raise ValueError(f"message {number}: {reject}") from None
    return bodies


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the router has ended: %s", error)


def _new_id() -> str:
    return str(uuid.uuid4())
