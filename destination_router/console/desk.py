"""What every page stands on: the configuration, the event log, and what workers tell."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from destination_router.console.sessions import Session
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.sqlite.file import connect, damage_told, open_file
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Action
from destination_router.service.configured import Configured
from destination_router.threads import in_thread

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Desk:
    """Reads and acts for the pages.

    Args:
        configured: says what the router goes by now.
        traces: what workers tell.
        content: whether values of messages are shown.
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
        self._opened: set[Path] = set()
        self.content = content
        self.clock = clock

    @property
    def configured(self) -> Configured:
        """What the router goes by now."""
        return self._configured()

    async def ask_traces(self, ask: Callable[[TraceFile], T]) -> T:
        """Read what workers tell.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        return await in_thread(partial(ask, self._traces), "console-traces")

    async def read_log(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read from the event log, all of it as it is at one moment.

        Raises:
            LogFileError: it is not there, or damaged.
            LogUnavailableError: it cannot be read now.
        """
        return await in_thread(partial(self._with_log, read, "BEGIN"), "console-log")

    async def change_log(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Change something in the event log, all of it or nothing.

        Raises:
            LogFileError: it is not there, or damaged.
            LogUnavailableError: it cannot be written now.
        """
        return await in_thread(partial(self._with_log, change, "BEGIN IMMEDIATE"), "console-log")

    async def note(self, session: Session, what: str, subject: str, count: int = 1) -> None:
        """Write down what somebody did: as a line of the log, and for the console to show."""
        about = {"who": session.who, "action": what, "subject": subject, "count": count}
        _log.info("console_action", extra=about)
        action = Action(self.clock(), session.who, what, subject, count)
        with contextlib.suppress(LogUnavailableError):
            await self.ask_traces(lambda traces: traces.note(action))

    def _with_log(self, use: Callable[[sqlite3.Connection], T], begin: str) -> T:
        path = self.configured.config.eventlog.path
        if path not in self._opened or not path.exists():
            open_file(path, create=False)
            self._opened.add(path)
        with damage_told(path), contextlib.closing(connect(path)) as database:
            try:
                database.execute(begin)
                result = use(database)
                database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                    raise
                raise LogUnavailableError(f"{path}: {error}") from error
            return result
