"""Keeps held-back identities in an event log's file, as digests, because an id is personal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import partial

from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.router_log import BookStore


class LoggedQuarantine:
    """Keeps held-back identities in an event log's file."""

    def __init__(self, log: BookStore) -> None:
        self._log = log

    async def held(self, connection: str) -> set[bytes]:
        """List a connection's held-back identities."""
        return await self._log.transact(partial(_held, connection=connection))

    async def hold(self, connection: str, identities: Iterable[bytes], now: float) -> None:
        """Hold back more identities. They are kept when this returns."""
        rows = [(connection, identity, round(now * 1000)) for identity in identities]
        await self._log.transact(partial(_hold, rows=rows))

    async def release(self, connection: str, identities: Iterable[bytes]) -> None:
        """Release identities."""
        rows = [(connection, identity) for identity in identities]
        await self._log.transact(partial(_release, rows=rows))


class QuarantineFile:
    """Keeps held-back identities in a file, which is made with the first one."""

    def __init__(self, file: LogOnDemand) -> None:
        self._file = file

    async def held(self, connection: str) -> set[bytes]:
        """List a connection's held-back identities; none if there is no file yet."""
        if not self._file.is_there:
            return set()
        return await LoggedQuarantine(self._file.opened()).held(connection)

    async def hold(self, connection: str, identities: Iterable[bytes], now: float) -> None:
        """Hold back more identities. They are kept when this returns."""
        await LoggedQuarantine(self._file.opened()).hold(connection, identities, now)

    async def release(self, connection: str, identities: Iterable[bytes]) -> None:
        """Release identities."""
        await LoggedQuarantine(self._file.opened()).release(connection, identities)


def _held(database: sqlite3.Connection, *, connection: str) -> set[bytes]:
    query = "SELECT identity FROM quarantine WHERE connection = ?"
    return {identity for (identity,) in database.execute(query, (connection,))}


def _hold(database: sqlite3.Connection, *, rows: list[tuple[str, bytes, int]]) -> None:
    database.executemany("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", rows)


def _release(database: sqlite3.Connection, *, rows: list[tuple[str, bytes]]) -> None:
    database.executemany("DELETE FROM quarantine WHERE connection = ? AND identity = ?", rows)
