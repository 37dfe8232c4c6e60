"""What is asked of a log's file, in SQL; each function runs on a connection of its caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from destination_router.eventlog.interface import Lag

APPEND = "INSERT INTO events (received_at, partition, source, body) VALUES (?, ?, ?, ?)"

_READ_BYTES = 32 * 2**20
"""How much is read at once: a thousand events may have a few kilobytes each, or megabytes."""

_READ = """
SELECT offset, target, body, received_at, source, replay FROM events
WHERE offset > ? ORDER BY offset LIMIT ?
"""
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
_WAITING = """
SELECT offset, body FROM events
WHERE offset > (SELECT low FROM connections WHERE name = :name)
    AND (target IS NULL OR target = :name)
    AND offset NOT IN (SELECT offset FROM done WHERE connection = :name)
"""


def register(
    connection: sqlite3.Connection, names: Sequence[str], start: Literal["end", "start"]
) -> None:
    """Enter the connections that the log does not know, at its end or at its start."""
    known = {name for (name,) in connection.execute("SELECT name FROM connections")}
    new = [name for name in names if name not in known]
    if not new:
        return
    connection.execute("BEGIN IMMEDIATE")
    low = last_offset(connection) if start == "end" else 0
    connection.executemany(
        "INSERT OR IGNORE INTO connections VALUES (?, ?)", [(name, low) for name in new]
    )
    connection.execute("COMMIT")


def read(
    connection: sqlite3.Connection, after: int, limit: int
) -> tuple[list[tuple[int, str | None, bytes, int, str | None, str | None]], int]:
    """Read rows up to a limit in number and bytes; and the last offset when nothing was there."""
    # Asked for first: what is appended in between is above it.
    last = last_offset(connection)
    rows = []
    room = _READ_BYTES
    for row in connection.execute(_READ, (after, limit)):
        rows.append(row)
        room -= len(row[2])
        if room <= 0:
            break
    return rows, last


def last_offset(connection: sqlite3.Connection) -> int:
    """Tell the offset of the event that was appended last, be it deleted; 0 if there was none."""
    row = connection.execute(_LAST).fetchone()
    return 0 if row is None else int(row[0])


def lags(connection: sqlite3.Connection, now: float) -> dict[str, Lag]:
    """Tell how far each connection is behind; an event that is not for it counts until passed."""
    last = last_offset(connection)
    found = {}
    for name, low, done in connection.execute(
        "SELECT name, low, (SELECT count(*) FROM done WHERE connection = name) FROM connections"
    ).fetchall():
        oldest = connection.execute(
            "SELECT received_at FROM events WHERE offset > ? AND (target IS NULL OR target = ?) "
            "ORDER BY offset LIMIT 1",
            (low, name),
        ).fetchone()
        messages = 0 if oldest is None else max(0, last - low - done)
        seconds = 0.0 if oldest is None else max(0.0, now - oldest[0] / 1000)
        found[name] = Lag(messages, seconds)
    return found


def waiting_events(database: sqlite3.Connection, name: str) -> Iterator[tuple[int, bytes]]:
    """Read what a connection has not delivered: offsets and bodies."""
    return database.execute(_WAITING, {"name": name})


def drop_waiting(database: sqlite3.Connection, name: str, offsets: Collection[int]) -> None:
    """Mark messages as done, undelivered. Only for who has claimed the log: a worker would not see.

    Other connections deliver them all the same.
    """
    database.execute("BEGIN IMMEDIATE")
    database.executemany(
        "INSERT OR IGNORE INTO done VALUES (?, ?)", [(name, offset) for offset in offsets]
    )
    database.execute("COMMIT")
