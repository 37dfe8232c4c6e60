"""Removes deleted people from a router's log, so that delivery does not bring them back.

Dead letters go at once, and so do the console's traces of their messages. If no router runs,
waiting events are dropped for this connection. A running router has them in hand, so it gets some
time to deliver them before the vendor is asked to delete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from destination_router.config.router_toml import EventLogConfig
from destination_router.deletion.matching import Theirs
from destination_router.eventlog.dead_letter import DamagedLetter, DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.opening import open_admin, unclaimed
from destination_router.eventlog.sqlite.dead_letter_store import delete_letters, find_letters
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Trace
from destination_router.service.tracing import UNWATCHED_PERIOD

Row = TypeVar("Row")

_BREATH = 100
"""The messages, each up to 0.1 ms of work, between two looks for signals."""

_LAST_TRACES = UNWATCHED_PERIOD + 1.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
PATIENCE = 30.0
"""The seconds that a running router gets to deliver what it has in hand."""


class Pending(msgspec.Struct, frozen=True, rename="camel"):
    """How much was found.

    Attributes:
        dead_letters: removed dead letters.
        dropped: waiting events that this connection no longer delivers.
        waiting: events that a running router may still deliver.
        traces: removed traces of the console.
    """

    dead_letters: int = 0
    dropped: int = 0
    waiting: int = 0
    traces: int = 0


class PendingOf:
    """The data about people in a connection's log.

    Args:
        log: the log's settings.
        connection: the connection's name.
        is_theirs: tells whether a message, as wire JSON, is from one of them.
        traces: the file of the console's traces, if there is one.
    """

    def __init__(
        self,
        log: EventLogConfig,
        connection: str,
        is_theirs: Theirs,
        traces: Path,
    ) -> None:
        self._log = log
        self._connection = connection
        self._is_theirs = is_theirs
        self._traces = traces
        self._is_delivered = False
        self.found: Pending | None = None
        """What `clear` has done so far, even if it was cancelled; None before it did anything."""

    async def count(self) -> Pending:
        """Count dead letters and waiting events, without a change.

        Raises:
            LogFileError: the log cannot be used.
        """
        with open_admin(self._log) as log:
            letters, waiting = await self._look(log)
        return Pending(dead_letters=len(letters), waiting=len(waiting))

    async def clear(self, patience: float, told: Callable[[int], None]) -> None:
        """Drop everything, and wait for a running router to deliver what it has in hand.

        Args:
            patience: the longest wait, in seconds.
            told: is called once, with the number of events that a router has in hand.

        Raises:
            LogFileError: the log cannot be used.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + min(patience, PATIENCE)
        pause = _FIRST_PAUSE
        found = self.found = await self._drop()
        if found.waiting:
            told(found.waiting)
        while found.waiting and clock() < until:
            await asyncio.sleep(min(pause, max(0.0, until - clock())))
            pause = min(2 * pause, _LONGEST_PAUSE)
            more = await self._drop()
            found = self.found = Pending(
                dead_letters=found.dead_letters + more.dead_letters,
                dropped=found.dropped + more.dropped,
                waiting=more.waiting,
                traces=found.traces + more.traces,
            )
        if self._is_delivered and self._traces.exists():
            await asyncio.sleep(_LAST_TRACES)  # what the router did last is written by then
            self.found = msgspec.structs.replace(found, traces=found.traces + self._forgotten())

    def _forgotten(self) -> int:
        """Remove the console's traces of them, and return how many."""
        if not self._traces.exists():
            return 0
        with contextlib.closing(TraceFile(self._traces)) as traces:
            try:
                return traces.forget(self._connection, self._is_traced)
            except LogUnavailableError as error:
                raise LogFileError(f"what the console keeps cannot be removed: {error}") from error

    def _is_traced(self, trace: Trace) -> bool:
        """Decide for a traced message. Without its content, nobody knows."""
        content = trace.content
        if content.body is None:
            return True
        words = (exchange.answer + exchange.detail for exchange in content.exchanges)
        return self._is_theirs(content.body.encode()) or any(map(self._is_theirs.names, words))

    async def _drop(self) -> Pending:
        """Drop what may be dropped now. If it is cancelled, it has dropped nothing."""
        with open_admin(self._log) as log, unclaimed(self._log, self._connection) as claimed:
            if claimed and self._log.new_connections == "start":
                # Else nothing waits for one that is new.
                log.register(self._connection, "start")
            letters, waiting = await self._look(log)
            if letters:
                with log.writing():
                    delete_letters(log.books, letters)
            traces = self._forgotten()
            self._is_delivered = not claimed
            if not claimed:
                return Pending(dead_letters=len(letters), waiting=len(waiting), traces=traces)
            if waiting:
                log.drop_waiting(self._connection, waiting)
            return Pending(dead_letters=len(letters), dropped=len(waiting), traces=traces)

    async def _look(self, log: LogAdmin) -> tuple[list[DeadLetter | DamagedLetter], list[int]]:
        damaged: list[DamagedLetter] = []
        letters = await self._theirs(_all_letters(log, self._connection, damaged))
        # Nobody can replay a damaged one. If its content is no content, nobody knows whose it is.
        theirs = [each for each in damaged if each.body is None or self._is_theirs(each.body)]
        return [*letters, *theirs], await self._theirs(log.waiting(self._connection))

    async def _theirs(self, rows: Iterable[tuple[Row, bytes]]) -> list[Row]:
        """Search for their messages. This may take a while, and obeys SIGTERM meanwhile."""
        found = []
        for number, (row, body) in enumerate(rows):
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            if self._is_theirs(body):
                found.append(row)
        return found


def _all_letters(
    log: LogAdmin, name: str, damaged: list[DamagedLetter]
) -> Iterator[tuple[DeadLetter, bytes]]:
    """Read a connection's dead letters, replayed or not, and their bodies."""
    for letter in find_letters(log.books, DeadLetterFilter(connection=name), damaged):
        yield letter, letter.body
