"""Decides what an embedded log deletes, and when it refuses new events.

Only events that every connection has committed are deleted. A full log refuses new events, which
their senders keep and send again. It never drops accepted events to make room. An undelivered
event ends by its age only through `max_age`, which is off unless the configuration sets it. The
event then becomes a dead letter with the code `expired`.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec

from destination_router.eventlog.sqlite.checksums import DamageError
from destination_router.eventlog.sqlite.letter_room import letter_bytes
from destination_router.eventlog.sqlite.rows import FIRST
from destination_router.eventlog.sqlite.writer import RefusedError

_CHUNK = 5000
_CHUNK_BYTES = 4 * 2**20
"""How many events are deleted at once: appends wait for milliseconds, and it needs little room."""

_GROWTH = 256 * 2**20
"""More than what comes in during one transaction, or while it waits for another process's."""

_CROWDED = 0.8
_LETTER_SHARE = 10
_SHRUNK_PAGES = 2048
_FREE_BYTES_KEPT = 64 * 2**20

_PAGES = """
SELECT page_count - freelist_count, freelist_count, page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_DELIVERED = f"""
SELECT offset, {FIRST}, low FROM events, (SELECT min(low) AS low FROM connections)
WHERE offset <= low ORDER BY offset LIMIT 1
"""  # noqa: S608
_SIZE = """
SELECT max(offset), ifnull(sum(length(body)), 0) FROM events WHERE offset BETWEEN ? AND ?
"""  # a body may be damaged; nobody needs it any more
_BEFORE_YOUNG = f"""
SELECT {FIRST} - 1 FROM events WHERE offset <= ? AND received_at > ? ORDER BY offset LIMIT 1
"""  # noqa: S608


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a log.

    Attributes:
        keep_delivered: how long events that every connection has committed stay, in seconds; less
            if the log is almost full.
        max_age: the age in seconds at which an undelivered event becomes a dead letter; None:
            never.
        max_bytes: how much room events may take. Beyond it, new ones are refused.
        max_letter_bytes: how much room dead letters may take. Beyond it, some are deleted. None:
            a tenth of `max_bytes`.
        min_free_bytes: how much of the disk must be free. Below it, new events are refused, so
            that there is always room to note deliveries.
        keep_dead_letters: the age in seconds at which a dead letter is deleted; None: never.
    """

    keep_delivered: float = 0.0
    max_age: float | None = None
    max_bytes: int = 10 * 2**30
    min_free_bytes: int = 64 * 2**20
    keep_dead_letters: float | None = None
    max_letter_bytes: int | None = None

    @property
    def letter_budget(self) -> int:
        """How much room dead letters may take, in bytes."""
        given = self.max_letter_bytes
        return self.max_bytes // _LETTER_SHARE if given is None else given


def refuse_if_full(
    connection: sqlite3.Connection, path: Path, retention: Retention, file_bytes: float
) -> None:
    """Check that there is room for new events.

    Args:
        connection: within a transaction.
        path: of the file.
        retention: the limits.
        file_bytes: the size of the file and its journal before the transaction.

    Raises:
        RefusedError: there is none. The text says what is full.
    """
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    if file_bytes + _GROWTH < retention.max_bytes and free >= retention.min_free_bytes:
        return  # nearly always, and without a question to SQLite, which lets go of the interpreter
    in_use, unused = _pages(connection)
    used = max(0, in_use - letter_bytes(connection))
    if used >= retention.max_bytes:
        raise RefusedError(
            f"{path} has {used} bytes without its dead letters, max_size is {retention.max_bytes}"
        )
    # The file keeps the space of deleted events from the disk, but that space is room.
    free += unused
    if free < retention.min_free_bytes:
        raise RefusedError(
            f"the disk of {path} has {free} bytes left, min_free is {retention.min_free_bytes}"
        )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file in use, without those of dead letters.

    The space of deleted events is not in use. Dead letters are counted separately.
    """
    return max(0, _pages(connection)[0] - letter_bytes(connection))


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many bytes of the file are in use, and how many are not."""
    used, free, page_bytes = connection.execute(_PAGES).fetchone()
    return used * page_bytes, free * page_bytes


def delete_delivered(connection: sqlite3.Connection, retention: Retention, now: float) -> int:
    """Delete some events that every connection has committed; return how many.

    A row goes when all its events are committed.

    Args:
        connection: within a transaction.
        retention: how long delivered events stay.
        now: Unix time, in seconds.

    Raises:
        DamageError: the rows are not as they were written.
    """
    _shrink(connection)
    if (delivered := connection.execute(_DELIVERED).fetchone()) is None:
        return 0
    row, first, low = delivered
    last = _chunk_end(connection, row, low)
    if retention.keep_delivered and not _is_crowded(connection, retention):
        values = (last, (now - retention.keep_delivered) * 1000)
        (last,) = connection.execute(_BEFORE_YOUNG, values).fetchone() or (last,)
    connection.execute("DELETE FROM events WHERE offset <= ?", (last,))
    return int(last - first + 1)


def _chunk_end(connection: sqlite3.Connection, row: int, low: int) -> int:
    """Return the offset of the last row that is deleted together with the first.

    Raises:
        DamageError: the first is found in order, and not by its offset.
    """
    count = min(low - row + 1, _CHUNK)
    while count > 1:
        # In one step: between the rows of a query, the thread would let go of the interpreter.
        last, size = connection.execute(_SIZE, (row, row + count - 1)).fetchone()
        if last is None:
            raise DamageError(f"event {row} is missing")
        if size <= _CHUNK_BYTES:
            return int(last)
        count //= 2
    return row


def _is_crowded(connection: sqlite3.Connection, retention: Retention) -> bool:
    return used_bytes(connection) >= _CROWDED * retention.max_bytes


def _shrink(connection: sqlite3.Connection) -> None:
    """Give some disk space back if most of the file is empty."""
    in_use, free = _pages(connection)
    if free > _FREE_BYTES_KEPT and free > in_use:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        # One step frees one page, and Python takes only one step of a statement without columns.
        for _ in range(min(_SHRUNK_PAGES, (free - _FREE_BYTES_KEPT) // page_bytes)):
            connection.execute("PRAGMA incremental_vacuum(1)")
