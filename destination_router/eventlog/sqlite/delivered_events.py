"""Reads delivered events that the log still keeps, to send them again to one connection.

Every function runs within its caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from destination_router.eventlog.log_admin import Kept
from destination_router.eventlog.sqlite.queries import DONE, LOW
from destination_router.eventlog.sqlite.rising import Rising
from destination_router.eventlog.sqlite.rows import COLUMNS, FIRST, checked_rows, time_alone

_KEPT = f"""
SELECT {COLUMNS} FROM events
WHERE received_at >= :since AND received_at < :until
    AND replay IS NULL AND (target IS NULL OR target = :name) AND {FIRST} <= :last
ORDER BY offset
"""  # noqa: S608
_LAST_DONE = "SELECT max(offset) FROM done WHERE connection = ?"
_LETTERS = """
SELECT offset FROM dead_letters WHERE connection = ? AND typeof(offset) = 'integer' ORDER BY offset
"""  # damage within a letter is not noticed, and harms no event
_FIRST = f"SELECT {FIRST}, offset, received_at FROM events ORDER BY offset LIMIT 1"  # noqa: S608


def delivered_events(
    database: sqlite3.Connection, name: str, since: float, until: float
) -> Iterator[Kept]:
    """Read the events of a period (two Unix times) that a connection delivered, in order.

    Raises:
        DamageError: an event is not as it was written.
    """
    low = (database.execute(LOW, (name,)).fetchone() or (0,))[0]
    last_done = database.execute(_LAST_DONE, (name,)).fetchone()[0]
    values = {
        "name": name,
        "since": round(since * 1000),
        "until": round(until * 1000),
        "last": max(low, last_done or 0),
    }
    done = Rising(database.execute(DONE, (name,)))
    letters = Rising(database.execute(_LETTERS, (name,)))
    for row in checked_rows(database.execute(_KEPT, values)):
        for offset, body in row.events():
            if (offset <= low or offset in done) and offset not in letters:
                yield Kept(offset, row.received_at / 1000, row.source, body)


def kept_since(database: sqlite3.Connection) -> float | None:
    """Return the time from which on the log is complete; None if nothing was deleted yet.

    Offsets begin at 1 and are never given twice. Everything may be gone from an empty log.

    Raises:
        DamageError: when the first event came in is not as it was written.
    """
    row = database.execute(_FIRST).fetchone()
    if row is None:
        return float("inf")
    first, *rest = row
    return None if first == 1 else time_alone(*rest)
