"""The SQL queries on a log's file. Each function runs on its caller's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Literal

from destination_router.eventlog.interface import Lag
from destination_router.eventlog.progress import Progress
from destination_router.eventlog.sqlite.checksums import (
    DamageError,
    check_mark,
    event_checksum,
    mark_checksum,
)
from destination_router.eventlog.sqlite.rising import Rising
from destination_router.eventlog.sqlite.rows import (
    COLUMNS,
    FIRST,
    Row,
    checked_rows,
    joined,
    time_alone,
)

APPEND = """INSERT INTO events
    (received_at, partition, target, source, replay, body, checksum)
    VALUES (?, '', ?, ?, ?, ?, ?)"""
"""One event, for one connection. Order needs no `partition` here: a connection reads all events."""

_ROWS_AT_ONCE = 50
"""Rows of events that one statement writes. Each call of SQLite lets go of the interpreter a few
times, and the event loop may take it, which costs more than the call."""

_DONE_AT_ONCE = 50
"""So it is with what is done."""

_READ_BYTES = 32 * 2**20
"""How much is read at once, because each of a thousand events may have kilobytes or megabytes."""

_READ_AT_ONCE = 1000

_READ = f"SELECT {COLUMNS} FROM events WHERE offset > ? ORDER BY offset LIMIT ?"  # noqa: S608
_FIRST = f"SELECT {FIRST} FROM events ORDER BY offset LIMIT 1"  # noqa: S608
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
_HIGHEST = f"SELECT max(ifnull(({_LAST}), 0), ifnull((SELECT max(offset) FROM events), 0))"  # noqa: S608
"""As AUTOINCREMENT finds it: if what is noted was damaged, there may be events above it."""

_MOST_OFFSET = 2**62
"""No log gets there; SQLite's integers end at twice as many."""

LOW = "SELECT low FROM connections WHERE name = ?"
"""The offset up to which a connection is done with every event."""

DONE = "SELECT offset FROM done WHERE connection = ? ORDER BY offset"
"""The offsets above it with whose events it is done, rising."""

_WAITING = f"""
SELECT {COLUMNS} FROM events
WHERE offset > ? AND (target IS NULL OR target = ?) ORDER BY offset
"""  # noqa: S608


def event_row(
    at: int,
    body: bytes,
    source: str | None,
    target: str | None = None,
    replay: str | None = None,
) -> tuple[object, ...]:
    """Make the values of `APPEND`.

    Args:
        at: when it came in, in milliseconds.
        body: the message as wire JSON.
        source: its sender's name; None if it is unknown.
        target: the only connection that it is for; None: all.
        replay: what is sent again; None: it is no replay.
    """
    return at, target, source, replay, body, event_checksum(body, at, target, source, replay)


def append(
    connection: sqlite3.Connection, at: int, source: str | None, bodies: Sequence[bytes]
) -> int:
    """Append events for all connections, within a transaction; return the first one's offset.

    Args:
        connection: to the file.
        at: when they came in, in milliseconds.
        source: their sender's name; None if it is unknown.
        bodies: the messages as wire JSON.

    Raises:
        DamageError: the last offset is not as it was written.
    """
    (highest,) = connection.execute(_HIGHEST).fetchone()
    first = _checked_offset(highest) + 1
    rows = joined(first, at, source, bodies)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        connection.execute(_append_many(len(some)), list(chain.from_iterable(some)))
    return first


@lru_cache(maxsize=_ROWS_AT_ONCE)
def _append_many(count: int) -> str:
    values = ", ".join(["(?, ?, '', ?, ?, ?, ?)"] * count)
    return f"""INSERT INTO events
        (offset, received_at, partition, source, body, checksum, lengths) VALUES {values}"""  # noqa: S608


def register(
    connection: sqlite3.Connection, names: Sequence[str], start: Literal["end", "start"]
) -> list[str]:
    """Enter new connections at the log's end or at its start; return which were new."""
    known = {name for (name,) in connection.execute("SELECT name FROM connections")}
    new = [name for name in names if name not in known]
    if not new:
        return []
    connection.execute("BEGIN IMMEDIATE")
    try:
        _enter(connection, new, start)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # it would keep all others from writing
            connection.execute("ROLLBACK")
        raise
    return new


def _enter(
    connection: sqlite3.Connection, new: Sequence[str], start: Literal["end", "start"]
) -> None:
    low = last_offset(connection)
    if start == "start":
        first = first_offset(connection)
        low = low if first is None else first - 1
    connection.executemany(
        "INSERT OR IGNORE INTO connections (name, low, checksum) VALUES (?, ?, ?)",
        [(name, low, mark_checksum(name, low)) for name in new],
    )


def read(
    connection: sqlite3.Connection,
    after: int,
    limit: int,
    name: str | None = None,
    room: int = _READ_BYTES,
) -> tuple[list[Row], int]:
    """Read events up to a limit in number and bytes, and the last offset if there were none.

    Args:
        connection: to the file.
        after: the offset after which to begin.
        limit: how many at most.
        name: the connection that reads. For a forgotten connection, nothing is kept any more.
        room: how many bytes of bodies at most, up to the end of a row.

    Raises:
        DamageError: one is missing or not as it was written. Offsets have no gaps: events are
            appended whole or not at all, and deleted only if all connections have passed them.
    """
    # This comes first: events that are appended in between are above it.
    last = last_offset(connection)
    rows: list[Row] = []
    expected = after + 1
    for row in checked_rows(connection.execute(_READ, (after, limit))):
        # The reader may have read a part of the first row before.
        is_next = row.first == expected or (row.first < expected and not rows)
        if not is_next and (row.first < expected or _is_kept_for(connection, name, row.first - 1)):
            raise DamageError(f"event {expected} is missing")
        part = row.part(after, limit)
        rows.append(part)
        expected = part.last + 1
        limit -= len(part.bodies)
        room -= sum(map(len, part.bodies))
        if limit <= 0 or room <= 0:
            break
    if not rows and last > after and _is_kept_for(connection, name, last):
        raise DamageError(f"event {expected} is missing")
    return rows, last


def _is_kept_for(connection: sqlite3.Connection, name: str | None, offset: int) -> bool:
    """Whether the log keeps an event for a connection, which has not passed it or been forgotten.

    Call it after a gap was seen: deleted events were passed before.
    """
    if name is None:
        return True
    row = connection.execute(LOW, (name,)).fetchone()
    return row is not None and offset > row[0]


def damage(connection: sqlite3.Connection) -> str | None:
    """Read every event, and describe the first that is not as it was written."""
    connection.execute("BEGIN")  # one consistent view, whatever is deleted meanwhile
    try:
        first = first_offset(connection)
        after = last_offset(connection) if first is None else first - 1
        while True:
            rows, _ = read(connection, after, _READ_AT_ONCE)
            if not rows:
                return None
            after = rows[-1].last
    except DamageError as error:
        return str(error)
    finally:
        connection.execute("ROLLBACK")


def first_offset(connection: sqlite3.Connection) -> int | None:
    """Return the offset of the first event that is there; None if there is none."""
    row = connection.execute(_FIRST).fetchone()
    return None if row is None else int(row[0])


def last_offset(connection: sqlite3.Connection) -> int:
    """Return the offset of the last appended event, even if it is deleted; 0 if there was none.

    Raises:
        DamageError: it is not as it was written.
    """
    row = connection.execute(_LAST).fetchone()
    return 0 if row is None else _checked_offset(row[0])


def _checked_offset(found: object) -> int:
    if not isinstance(found, int) or found > _MOST_OFFSET:
        raise DamageError("the offset of the last event is not as it was written")
    return found


def lags(connection: sqlite3.Connection, now: float) -> dict[str, Lag]:
    """Return each connection's lag. An event for others counts until it is passed.

    Raises:
        DamageError: the last offset, or when the oldest event came in, is not as it was written.
    """
    last = last_offset(connection)
    found = {}
    for name, low, done in connection.execute(
        "SELECT name, low, (SELECT count(*) FROM done WHERE connection = name) FROM connections"
    ).fetchall():
        oldest = connection.execute(
            "SELECT offset, received_at FROM events "
            "WHERE offset > ? AND (target IS NULL OR target = ?) ORDER BY offset LIMIT 1",
            (low, name),
        ).fetchone()
        messages = 0 if oldest is None else max(0, last - low - done)
        seconds = 0.0 if oldest is None else max(0.0, now - time_alone(*oldest))
        found[name] = Lag(messages, seconds)
    return found


def put_done(connection: sqlite3.Connection, name: str, offsets: Iterable[int]) -> None:
    """Note that a connection is done with events, within a transaction."""
    values: list[object] = []
    for offset in offsets:
        values += name, offset, mark_checksum(name, offset)
    for start in range(0, len(values), 3 * _DONE_AT_ONCE):
        some = values[start : start + 3 * _DONE_AT_ONCE]
        connection.execute(_put_many(len(some) // 3), some)


@lru_cache(maxsize=_DONE_AT_ONCE)
def _put_many(count: int) -> str:
    values = ", ".join(["(?, ?, ?)"] * count)
    return f"INSERT OR IGNORE INTO done (connection, offset, checksum) VALUES {values}"  # noqa: S608


def put_low(connection: sqlite3.Connection, name: str, low: int) -> None:
    """Note that a connection is done with every event up to one, within a transaction."""
    connection.execute("DELETE FROM done WHERE connection = ? AND offset <= ?", (name, low))
    connection.execute(
        "UPDATE connections SET low = ?, checksum = ? WHERE name = ? AND low < ?",
        (low, mark_checksum(name, low), name, low),
    )


def progress_of(connection: sqlite3.Connection, name: str) -> Progress:
    """Read a connection's progress.

    Raises:
        DamageError: it is not as it was written.
    """
    found = connection.execute(
        "SELECT low, checksum FROM connections WHERE name = ?", (name,)
    ).fetchone()
    if found is None:
        raise DamageError(f"how far {name!r} is, is missing")
    low, checksum = found
    check_mark(name, low, checksum)
    done = []
    for offset, of_one in connection.execute(
        "SELECT offset, checksum FROM done WHERE connection = ?", (name,)
    ):
        check_mark(name, offset, of_one)
        done.append(offset)
    return Progress(low, done)


def waiting_events(database: sqlite3.Connection, name: str) -> Iterator[tuple[int, bytes]]:
    """Read a connection's undelivered events: offsets and bodies.

    Raises:
        DamageError: an event is not as it was written.
    """
    found = database.execute(LOW, (name,)).fetchone()
    if found is None:
        return
    (low,) = found
    rows = database.execute(_WAITING, (low, name))
    done = Rising(database.execute(DONE, (name,)))
    for row in checked_rows(rows):
        for offset, body in row.part(low, len(row.bodies)).events():
            if offset not in done:
                yield offset, body


def drop_waiting(database: sqlite3.Connection, name: str, offsets: Collection[int]) -> None:
    """Mark messages as done, undelivered. Claim the log first: a worker would not see the marks.

    Other connections deliver them all the same.
    """
    database.execute("BEGIN IMMEDIATE")
    put_done(database, name, offsets)
    database.execute("COMMIT")


def forget(database: sqlite3.Connection, name: str) -> None:
    """Drop a connection's claim to undelivered events, within a transaction."""
    database.execute("DELETE FROM connections WHERE name = ?", (name,))
    for table in ("done", "holds", "origins", "orders", "attempts"):
        database.execute(f"DELETE FROM {table} WHERE connection = ?", (name,))  # noqa: S608
