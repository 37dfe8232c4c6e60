"""Reads delivered events that the log still keeps, to send them again to one connection.

Every function runs within its caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from destination_router.eventlog.log_admin import Kept
from destination_router.eventlog.sqlite.checksums import check_event

_DELIVERED = """
SELECT offset, target, body, received_at, source, replay, checksum FROM events
WHERE received_at >= :since AND received_at < :until
    AND replay IS NULL AND (target IS NULL OR target = :name)
    AND (
        offset <= (SELECT low FROM connections WHERE name = :name)
        OR offset IN (SELECT offset FROM done WHERE connection = :name)
    )
    AND offset NOT IN (SELECT offset FROM dead_letters WHERE connection = :name)
ORDER BY offset
"""


def delivered_events(
    database: sqlite3.Connection, name: str, since: float, until: float
) -> Iterator[Kept]:
    """Read the events of a period (two Unix times) that a connection delivered, in order.

    Raises:
        DamageError: an event is not as it was written.
    """
    values = {"name": name, "since": round(since * 1000), "until": round(until * 1000)}
    for row in database.execute(_DELIVERED, values):
        check_event(*row)
        offset, _, body, received_at, source, *_ = row
        yield Kept(offset, received_at / 1000, source, body)


def kept_since(database: sqlite3.Connection) -> float | None:
    """Return the time from which on the log is complete; None if nothing was deleted yet.

    Offsets begin at 1 and are never given twice. Everything may be gone from an empty log.
    """
    row = database.execute(
        "SELECT offset, received_at FROM events ORDER BY offset LIMIT 1"
    ).fetchone()
    if row is None:
        return float("inf")
    first, moment = row
    return None if first == 1 else float(moment) / 1000
