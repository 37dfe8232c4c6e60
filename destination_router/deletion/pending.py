"""What a router's log still holds of people who are deleted: it shall not bring them back.

Dead letters go at once. What waits to be delivered is dropped, for this connection alone, where no
router runs; one that runs has it in hand, and is given a while to deliver it before the vendor is
asked to delete.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.sqlite.claim import LogInUseError, claim
from destination_router.eventlog.sqlite.dead_letter_store import delete_letters, find_letters
from destination_router.eventlog.sqlite.file import connect, damage_told, open_file
from destination_router.eventlog.sqlite.queries import drop_waiting, register, waiting_events

Row = TypeVar("Row")

_BREATH = 100
"""After how many messages, of up to a tenth of a millisecond each, signals are looked for."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
PATIENCE = 30.0
"""How long a running router is given to deliver what it has in hand, in seconds."""


class Pending(msgspec.Struct, frozen=True, rename="camel"):
    """What was found.

    Attributes:
        dead_letters: those that were removed.
        dropped: waiting events that this connection will not deliver.
        waiting: those that a running router may deliver after all.
    """

    dead_letters: int = 0
    dropped: int = 0
    waiting: int = 0


class PendingOf:
    """What a connection's log holds of people.

    Args:
        path: the log's file.
        connection: the connection's name.
        is_theirs: tells of a message, as wire JSON, whether it is one of theirs.
        start: where the connection begins if the log does not know it yet.
    """

    def __init__(
        self,
        path: Path,
        connection: str,
        is_theirs: Callable[[bytes], bool],
        start: Literal["end", "start"],
    ) -> None:
        self._path = path
        self._connection = connection
        self._start = start
        self._is_theirs = is_theirs
        self.found: Pending | None = None
        """What `clear` has done so far, even if it was cancelled; None before it did anything."""

    async def count(self) -> Pending:
        """Look only: dead letters and waiting events.

        Raises:
            LogFileError: the log cannot be used.
        """
        with self._opened() as database:
            letters, waiting = await self._look(database)
        return Pending(dead_letters=len(letters), waiting=len(waiting))

    async def clear(self, patience: float, told: Callable[[int], None]) -> None:
        """Drop all of it, and give a running router a while with what it has in hand.

        Args:
            patience: how long, in seconds.
            told: is told once how many events a router has in hand.

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
            )

    async def _drop(self) -> Pending:
        """Drop what may be dropped now; one that is cancelled has dropped nothing."""
        with self._opened() as database, _claimed(self._path) as claimed:
            if claimed and self._start == "start":  # else nothing waits for one that is new
                register(database, (self._connection,), self._start)
            letters, waiting = await self._look(database)
            if letters:
                _drop_letters(database, letters)
            if not claimed:
                return Pending(dead_letters=len(letters), waiting=len(waiting))
            if waiting:
                drop_waiting(database, self._connection, waiting)
            return Pending(dead_letters=len(letters), dropped=len(waiting))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        open_file(self._path, create=False)
        with damage_told(self._path), contextlib.closing(connect(self._path)) as database:
            yield database

    async def _look(self, database: sqlite3.Connection) -> tuple[list[DeadLetter], list[int]]:
        return (
            await self._theirs(_all_letters(database, self._connection)),
            await self._theirs(waiting_events(database, self._connection)),
        )

    async def _theirs(self, rows: Iterable[tuple[Row, bytes]]) -> list[Row]:
        """Look for what is theirs; that may take a while, and SIGTERM is heeded meanwhile."""
        found = []
        for number, (row, body) in enumerate(rows):
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            if self._is_theirs(body):
                found.append(row)
        return found


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Claim the log, unless a router has; tells whether it is ours."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claim(path))
        except LogInUseError:
            yield False
            return
        yield True


def _all_letters(database: sqlite3.Connection, name: str) -> Iterator[tuple[DeadLetter, bytes]]:
    """Read a connection's dead letters, replayed or not, and their bodies."""
    for letter in find_letters(database, DeadLetterFilter(connection=name)):
        yield letter, letter.body


def _drop_letters(database: sqlite3.Connection, letters: Collection[DeadLetter]) -> None:
    """Delete dead letters."""
    database.execute("BEGIN IMMEDIATE")
    delete_letters(database, list(letters))
    database.execute("COMMIT")
