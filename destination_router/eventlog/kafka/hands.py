"""Which messages were at hand when a process died, if another process takes over.

Nothing is noted while all goes well. If a process ended without saying so, the process that takes
over notes its messages before it decides them, and waits until brokers have the note. It does so
until it is past all that the former process can have had at hand. So a message that killed one
process kills few more.

Nothing else goes on during the wait for a note, some 10 ms. Hence the notes end soon, however many
events wait, and a message that this process has decided once is not noted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.books import KafkaBooks
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.offsets import by_partition, offset_of, partition_of
from destination_router.eventlog.kafka.reader import Reader

_MOST_AT_HAND = 10_000
"""How far beyond what it said was done a process can have been: what it kept for its windows, and
what it did since its last commit. Where one was further, the next that dies is nearer."""

_NOTED_WITHIN = 1.0
"""How long a note may take, in seconds, because the event loop waits for it. Then care ends."""

_ALONE = """
INSERT INTO attempts VALUES (?, ?, 1)
ON CONFLICT (connection, offset) DO UPDATE SET tries = tries + 1
"""
_AMONG_OTHERS = "INSERT OR IGNORE INTO attempts VALUES (?, ?, 1)"


class KafkaAttempts:
    """Keeps attempts, and counts those that ended with their process.

    Args:
        books: where they are kept.
        reader: returns a connection's reader.
        groups: says how much there is to read.
    """

    def __init__(self, books: KafkaBooks, reader: Callable[[str], Reader], groups: Groups) -> None:
        self._books = books
        self._reader = reader
        self._groups = groups
        self._careful: dict[str, dict[int, int]] = {}
        self._owned: dict[str, list[int]] = {}
        self._noted: str | None = None

    async def open(self, connection: str) -> dict[int, int]:
        """Wait until this process delivers; list the messages at which processes died.

        Raises:
            LogUnavailableError: nothing was noted.
        """
        reader = self._reader(connection)
        numbers = await reader.until_assigned()
        marks = reader.marks()
        lows = {number: mark.next for number, mark in marks.items()}
        now = round(time.time() * 1000)
        own = self._owned.get(connection, [])

        def begin(database: sqlite3.Connection) -> tuple[bool, dict[int, int]]:
            owners = database.execute(
                "SELECT partition FROM owners WHERE connection = ?", (connection,)
            ).fetchall()
            died = any(number in numbers and number not in own for (number,) in owners)
            if died:
                _count(database, connection)
            database.execute("DELETE FROM at_hand WHERE connection = ?", (connection,))
            _forget_done(database, connection, lows)
            database.executemany(
                "INSERT OR REPLACE INTO owners VALUES (?, ?, ?)",
                [(connection, number, now) for number in numbers],
            )
            tries = database.execute(
                "SELECT offset, tries FROM attempts WHERE connection = ?", (connection,)
            )
            return died, dict(tries.fetchall())

        died, tries = await self._books.transact(begin)
        self._owned[connection] = numbers
        self._careful.pop(connection, None)
        if died:
            ends = await asyncio.to_thread(self._groups.ends, numbers)
            self._careful[connection] = {
                number: min(end, _through(marks[number]) + _MOST_AT_HAND)
                for number, end in ends.items()
                if number in marks  # it may have gone meanwhile
            }
        reader.on_leaving = partial(self._leave, connection)
        return tries

    def begin(self, connection: str, offsets: Sequence[int], *, again: bool = False) -> None:
        """Note the messages at hand until `end`; after a death, wait until the note is kept."""
        if again or not self._is_careful(connection, offsets):
            return
        content = struct.pack(f"<{len(offsets)}q", *offsets)
        row = (connection, content)
        self._noted = connection
        # If Kafka takes nothing now, no message is at fault, and the rest must not wait.
        try:
            self._books.transact_and_wait(
                lambda database: database.execute(
                    "INSERT OR REPLACE INTO at_hand VALUES (?, ?)", row
                ),
                _NOTED_WITHIN,
            )
        except (LogUnavailableError, TimeoutError):
            del self._careful[connection]

    def end(self) -> None:
        """Note that nothing is at hand."""
        if self._noted is not None:
            row = (self._noted,)
            self._noted = None
            self._books.transact_soon(
                lambda database: database.execute("DELETE FROM at_hand WHERE connection = ?", row)
            )

    def close(self) -> None:
        """Say that this process ends as it should."""
        for connection in list(self._owned):
            self._leave(connection, is_over=True)

    def _leave(self, connection: str, *, is_over: bool) -> None:
        """Note that partitions go, unless the messages in hand had no time to end."""
        rows = [(connection, number) for number in self._owned.pop(connection, [])]
        if rows and is_over:
            with contextlib.suppress(LogUnavailableError):
                self._books.transact_and_wait(
                    lambda database: database.executemany(
                        "DELETE FROM owners WHERE connection = ? AND partition = ?", rows
                    )
                )

    def _is_careful(self, connection: str, offsets: Sequence[int]) -> bool:
        """Say whether the former process may have had these at hand."""
        ends = self._careful.get(connection)
        if ends is None:
            return False
        if any(offset_of(each) < ends.get(partition_of(each), 0) for each in offsets):
            return True
        for number, places in by_partition(offsets).items():
            if min(places) >= ends.get(number, 0):
                ends.pop(number, None)
        if not ends:
            del self._careful[connection]
        return False


def _through(mark: Mark) -> int:
    """Return the first place after all that is done."""
    return mark.done[-1] + 1 if mark.done else mark.next


def _count(database: sqlite3.Connection, connection: str) -> None:
    """Count a death for each message that was at hand."""
    row = database.execute(
        "SELECT offsets FROM at_hand WHERE connection = ?", (connection,)
    ).fetchone()
    if row is None:
        return
    offsets = struct.unpack(f"<{len(row[0]) // 8}q", row[0])
    statement = _ALONE if len(offsets) == 1 else _AMONG_OTHERS
    database.executemany(statement, [(connection, offset) for offset in offsets])


def _forget_done(database: sqlite3.Connection, connection: str, lows: dict[int, int]) -> None:
    """Forget the attempts of messages that are done by now."""
    rows = database.execute("SELECT offset FROM attempts WHERE connection = ?", (connection,))
    over = [
        (connection, place)
        for (place,) in rows.fetchall()
        if offset_of(place) < lows.get(partition_of(place), 0)
    ]
    database.executemany("DELETE FROM attempts WHERE connection = ? AND offset = ?", over)
