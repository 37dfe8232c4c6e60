"""Which identities are held back, in an event log's file: as digests, for an id is personal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import partial

from destination_router.eventlog.sqlite import SqliteEventLog


class LoggedQuarantine:
    """Keeps what is held back in an event log's file."""

    def __init__(self, log: SqliteEventLog) -> None:
        self._log = log

    async def held(self, connection: str) -> set[bytes]:
        """List what a connection holds back."""
        return await self._log.transact(partial(_held, connection=connection))

    async def hold(self, connection: str, identities: Iterable[bytes], now: float) -> None:
        """Hold back more; kept when this returns."""
        rows = [(connection, identity, round(now * 1000)) for identity in identities]
        await self._log.transact(partial(_hold, rows=rows))

    async def release(self, connection: str, identities: Iterable[bytes]) -> None:
        """Hold some back no longer."""
        rows = [(connection, identity) for identity in identities]
        await self._log.transact(partial(_release, rows=rows))


def _held(database: sqlite3.Connection, *, connection: str) -> set[bytes]:
    query = "SELECT identity FROM quarantine WHERE connection = ?"
    return {identity for (identity,) in database.execute(query, (connection,))}


def _hold(database: sqlite3.Connection, *, rows: list[tuple[str, bytes, int]]) -> None:
    database.executemany("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", rows)


def _release(database: sqlite3.Connection, *, rows: list[tuple[str, bytes]]) -> None:
    database.executemany("DELETE FROM quarantine WHERE connection = ? AND identity = ?", rows)
