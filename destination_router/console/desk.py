"""Gives pages the configuration, the event log, and the traces of workers."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from destination_router.config.router_toml import EventLogConfig
from destination_router.console.decision_turns import DecisionTurns
from destination_router.console.sessions import Session
from destination_router.delivery.sender import redirected
from destination_router.eventlog.following import FollowedLog
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Action, Trace
from destination_router.pipeline.connection import Connection
from destination_router.service.configured import Configured
from destination_router.threads import OneThread, in_thread

T = TypeVar("T")

_MOST_EARLIER = 50
"""How many connections are kept as they were before router.toml changed."""

_log = logging.getLogger(__name__)


class Desk:
    """Reads and acts for the pages.

    Args:
        configured: returns the router's current configuration.
        traces: the workers' traces.
        content: whether pages show values of messages.
        clock: Unix time, in seconds.
    """

    def __init__(
        self,
        configured: Callable[[], Configured],
        traces: TraceFile,
        *,
        content: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configured = configured
        self._traces = traces
        self._reading = OneThread("console-traces")
        self._opening = threading.Lock()
        self._followed: tuple[EventLogConfig, FollowedLog] | None = None
        self._knowing = threading.Lock()
        self._known: OrderedDict[str, Connection] = OrderedDict()
        self.content = content
        self.clock = clock
        self.turns = DecisionTurns()

    @property
    def configured(self) -> Configured:
        """The router's current configuration."""
        configured = self._configured()
        current = {each.fingerprint: each for each in configured.connections}
        with self._knowing:
            for fingerprint, connection in list(self._known.items()):
                if fingerprint in current or connection.plugin.elsewhere is not None:
                    del self._known[fingerprint]  # or an earlier one's program would go on running
            self._known |= current
            while len(self._known) > max(_MOST_EARLIER, len(current)):
                self._known.popitem(last=False)
        return configured

    def connection_of(self, trace: Trace) -> Connection | None:
        """Find the connection as it was when a message was traced; None if it is not known here."""
        _ = self.configured
        with self._knowing:
            return self._known.get(trace.fingerprint)

    def targets_of(self, connection: Connection) -> list[str]:
        """Return where a connection's requests go: `[delivery] origins` may redirect a vendor's."""
        elsewhere = self.configured.config.delivery.origins
        pairs = [(origin, redirected(origin, elsewhere)) for origin in connection.origins or ()]
        return [
            origin if target == origin else f"{target} in place of {origin}"
            for origin, target in pairs
        ]

    def shown(self, trace: Trace) -> Trace:
        """Remove values that were kept before the configuration forbade showing them."""
        if self.content:
            return trace
        content = trace.content
        if content.body is not None:
            content = replace(content, body=None, steps=(), requests=(), exchanges=())
        return replace(trace, event="", detail="", content=content)

    async def ask_traces(self, ask: Callable[[TraceFile], T]) -> T:
        """Read from the workers' traces.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        return await self._reading.run(partial(ask, self._traces))

    def watch_traces(self, *, watched: bool) -> None:
        """Say whether somebody watches. If so, this process remembers the traces that it writes."""
        self._traces.remember(watched=watched)

    def fresh_traces(self, after: int, written: object) -> list[Trace] | None:
        """Return this process's traces after a number; None: read the file.

        Args:
            after: the number.
            written: what `last_write_of_traces` has just returned.
        """
        return self._traces.fresh(after, written)

    def last_write_of_traces(self) -> object:
        """Return a value that differs once workers have written more. It is cheap."""
        return self._traces.last_write()

    async def read_log(self, read: Callable[[LogAdmin], T]) -> T:
        """Read from the event log, as it is at one moment.

        Raises:
            LogFileError: it is missing or damaged.
            LogUnavailableError: it cannot be read now.
        """
        return await in_thread(partial(self._with_log, read, to_write=False), "console-log")

    async def change_log(self, change: Callable[[LogAdmin], T]) -> T:
        """Change the event log, all or nothing.

        Raises:
            LogFileError: it is missing or damaged.
            LogUnavailableError: it cannot be written now.
        """
        return await in_thread(partial(self._with_log, change, to_write=True), "console-log")

    async def note(self, session: Session, what: str, subject: str, count: int = 1) -> None:
        """Record an action, as a line of the log and for the console to show."""
        about = {"who": session.who, "action": what, "subject": subject, "count": count}
        _log.info("console_action", extra=about)
        action = Action(self.clock(), session.who, what, subject, count)
        with contextlib.suppress(LogUnavailableError):
            await self.ask_traces(lambda traces: traces.note(action))

    def close(self) -> None:
        """Close the event log, after the current use."""
        with self._opening:
            if self._followed is not None:
                self._followed[1].close()
                self._followed = None

    def _log_of(self, config: EventLogConfig) -> FollowedLog:
        """Return the log, which stays open between pages if opening it is expensive."""
        with self._opening:
            if self._followed is None or self._followed[0] != config:
                if self._followed is not None:
                    self._followed[1].close()
                self._followed = config, FollowedLog(config)
            return self._followed[1]

    def _with_log(self, use: Callable[[LogAdmin], T], *, to_write: bool) -> T:
        config = self.configured.config.eventlog
        try:
            with (
                self._log_of(config).opened() as log,
                log.writing() if to_write else log.reading(),
            ):
                return use(log)
        except sqlite3.OperationalError as error:  # busy, or full
            raise LogUnavailableError(f"{config.told}: {error}") from error
