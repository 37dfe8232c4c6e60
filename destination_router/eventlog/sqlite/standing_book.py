"""How connections stand with their vendors, in an event log's file: what holds, what is proven."""

from __future__ import annotations

import sqlite3
from functools import partial

from destination_router.eventlog.interface import Held, Standing
from destination_router.eventlog.sqlite.log import SqliteEventLog


class LoggedStanding:
    """Keeps how connections stand in an event log's file."""

    def __init__(self, log: SqliteEventLog) -> None:
        self._log = log

    async def standing(self, connection: str) -> Standing:
        """Tell how a connection stands."""
        return await self._log.transact(partial(_standing, connection=connection))

    async def keep(self, connection: str, standing: Standing) -> None:
        """Note how a connection stands; kept when this returns."""
        await self._log.transact(partial(_keep, connection=connection, standing=standing))

    async def held(self) -> dict[str, Held]:
        """List the connections that are held."""
        return await self._log.transact(_all_held)


def _standing(database: sqlite3.Connection, *, connection: str) -> Standing:
    origins = database.execute("SELECT origin FROM origins WHERE connection = ?", (connection,))
    return Standing(
        held=_all_held(database).get(connection),
        origins=frozenset(origin for (origin,) in origins),
    )


def _all_held(database: sqlite3.Connection) -> dict[str, Held]:
    rows = database.execute("SELECT connection, code, since FROM holds")
    return {connection: Held(code, since / 1000) for connection, code, since in rows}


def _keep(database: sqlite3.Connection, *, connection: str, standing: Standing) -> None:
    database.execute("DELETE FROM holds WHERE connection = ?", (connection,))
    if standing.held is not None:
        row = (connection, standing.held.code, round(standing.held.since * 1000))
        database.execute("INSERT INTO holds VALUES (?, ?, ?)", row)
    database.executemany(
        "INSERT OR IGNORE INTO origins VALUES (?, ?)",
        [(connection, origin) for origin in sorted(standing.origins)],
    )
