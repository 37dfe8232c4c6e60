"""Makes dead letters with the code `expired` of events that nobody took for too long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import islice

from destination_router.eventlog.dead_letter import expired_letter, tell_expired
from destination_router.eventlog.progress import Progress
from destination_router.eventlog.sqlite.dead_letter_store import put_letters
from destination_router.eventlog.sqlite.rows import COLUMNS, checked_rows

_CHUNK = 500
_FIND = f"""
SELECT {COLUMNS} FROM events
WHERE offset > ? AND received_at < ? AND (target IS NULL OR target = ?) ORDER BY offset
"""  # noqa: S608


def expire(  # noqa: PLR0913 -- each is a part, by keyword
    connection: sqlite3.Connection,
    *,
    name: str,
    progress: Progress,
    max_age: float,
    kept: Callable[[bytes], bytes],
    now: float,
) -> list[int]:
    """Make dead letters of a connection's events that are too old; return their offsets.

    Args:
        connection: within a transaction.
        name: the connection's name.
        progress: the connection's. Events that are out with its worker are left to the worker.
        max_age: the age in seconds beyond which an event is too old.
        kept: returns what a dead letter keeps of an event.
        now: Unix time, in seconds.

    Raises:
        DamageError: an event is not as it was written.
    """
    after = progress.low
    rows = checked_rows(connection.execute(_FIND, (after, (now - max_age) * 1000, name)))
    # What is done or out does not count: it alone may be a chunk, and nothing behind would expire.
    old = list(
        islice(
            (
                (offset, body)
                for row in rows
                for offset, body in row.events()
                if offset > after and not progress.is_done(offset) and not progress.is_out(offset)
            ),
            _CHUNK,
        )
    )
    if not old:
        return []
    put_letters(connection, [expired_letter(name, offset, kept(body), now) for offset, body in old])
    offsets = [offset for offset, _ in old]
    tell_expired(name, offsets)
    return offsets
