"""How commands read and change a log's file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.interface import Lag
from destination_router.eventlog.log_admin import Kept
from destination_router.eventlog.sqlite.dead_letter_store import mark_replayed
from destination_router.eventlog.sqlite.delivered_events import delivered_events, kept_since
from destination_router.eventlog.sqlite.file import connect, damage_told, open_file
from destination_router.eventlog.sqlite.queries import (
    APPEND,
    drop_waiting,
    event_row,
    forget,
    lags,
    register,
    waiting_events,
)
from destination_router.eventlog.sqlite.rows import COLUMNS, checked_rows

_BODIES = f"SELECT {COLUMNS} FROM events WHERE target IS NULL ORDER BY offset"  # noqa: S608


@contextlib.contextmanager
def opened_admin(path: Path) -> Iterator[SqliteAdmin]:
    """Open the log at a path, which must be there.

    Raises:
        LogFileError: it cannot be used or is not there.
    """
    open_file(path, create=False)
    with damage_told(path), contextlib.closing(connect(path)) as database:
        yield SqliteAdmin(database)


class SqliteAdmin:
    """A log's file for commands.

    Args:
        database: a connection to the file, which the caller closes.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.books = database

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Read consistently during a block."""
        return self._transaction("BEGIN")

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Make changes, all or none."""
        return self._transaction("BEGIN IMMEDIATE")

    def lags(self, now: float) -> dict[str, Lag]:
        """Return each connection's lag, by name."""
        return lags(self.books, now)

    def forget(self, name: str) -> None:
        """Drop a connection's claim to undelivered events."""
        forget(self.books, name)

    def replay_letters(self, letters: Sequence[DeadLetter], now: float) -> None:
        """Append letters to the log again, each for its own connection, and mark them."""
        rows = [
            event_row(
                round(now * 1000), letter.body, letter.source, letter.connection, letter.replay
            )
            for letter in letters
        ]
        self.books.executemany(APPEND, rows)
        mark_replayed(self.books, letters, now)

    def delivered(self, name: str, since: float, until: float) -> Iterator[Kept]:
        """Read the events of a period (two Unix times) that a connection delivered, in order."""
        return delivered_events(self.books, name, since, until)

    def kept_since(self) -> float | None:
        """Return the time from which on the log is complete."""
        return kept_since(self.books)

    def send_again(self, name: str, events: Sequence[Kept], replay: str, now: float) -> None:
        """Append events for one connection after those that wait."""
        at = round(now * 1000)
        rows = [event_row(at, event.body, event.source, name, replay) for event in events]
        self.books.executemany(APPEND, rows)

    def bodies(self) -> Iterator[bytes]:
        """Read every event in the log, without replays."""
        for row in checked_rows(self.books.execute(_BODIES)):
            yield from row.bodies

    def register(self, name: str, start: Literal["end", "start"]) -> None:
        """Register a new connection."""
        register(self.books, (name,), start)

    def waiting(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Read a connection's undelivered events: offsets and bodies."""
        return waiting_events(self.books, name)

    def drop_waiting(self, name: str, offsets: Collection[int]) -> None:
        """Mark messages as done, undelivered."""
        drop_waiting(self.books, name, offsets)

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.books.execute(begin)
        yield
        self.books.execute("COMMIT")
