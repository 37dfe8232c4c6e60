"""How connections stand with their vendors, in an event log's file.

What holds, what is proven, and what a person said: pause, or go on.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from functools import partial

from destination_router.eventlog.interface import Held, LogUnavailableError, Order, Standing
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.router_log import BookStore


class LoggedStanding:
    """Keeps how connections stand in an event log's file."""

    def __init__(self, log: BookStore) -> None:
        self._log = log

    async def standing(self, connection: str) -> Standing:
        """Tell how a connection stands."""
        return await self._log.transact(partial(_standing, connection=connection))

    async def keep(self, connection: str, standing: Standing) -> None:
        """Note how a connection stands; kept when this returns."""
        await self._log.transact(partial(_keep, connection=connection, standing=standing))

    async def order(self, connection: str) -> Order | None:
        """Tell what a person said of a connection last."""
        return (await self._log.query(all_orders)).get(connection)


class StandingFile:
    """What a command that sends beside a router heeds and adds, in a log's file that is there.

    It heeds what a person says, and knows and keeps the origins that are proven. A hold is the
    router's own: what this command meets is told by it, and ends with it.
    """

    def __init__(self, file: LogOnDemand) -> None:
        self._file = file

    async def standing(self, connection: str) -> Standing:
        """Tell which origins are proven; none where there is no file."""
        if not self._file.is_there:
            return Standing()
        try:
            known = await LoggedStanding(self._file.opened()).standing(connection)
        except LogUnavailableError:
            return Standing()
        return Standing(origins=known.origins)

    async def keep(self, connection: str, standing: Standing) -> None:
        """Note the origins that are proven, if the file takes it: no file is made for it."""
        if not self._file.is_there:
            return
        write = partial(_keep_origins, connection=connection, origins=standing.origins)
        with contextlib.suppress(LogUnavailableError):
            await self._file.opened().transact(write)

    async def order(self, connection: str) -> Order | None:
        """Tell what a person said of a connection last; nothing where there is no file."""
        if not self._file.is_there:
            return None
        return await LoggedStanding(self._file.opened()).order(connection)


def _standing(database: sqlite3.Connection, *, connection: str) -> Standing:
    origins = database.execute("SELECT origin FROM origins WHERE connection = ?", (connection,))
    return Standing(
        held=all_held(database).get(connection),
        origins=frozenset(origin for (origin,) in origins),
    )


def all_held(database: sqlite3.Connection) -> dict[str, Held]:
    """List the connections that are held."""
    rows = database.execute("SELECT connection, code, since FROM holds")
    return {connection: Held(code, since / 1000) for connection, code, since in rows}


def all_orders(database: sqlite3.Connection) -> dict[str, Order]:
    """List what a person said last, by connection."""
    rows = database.execute("SELECT connection, paused, at FROM orders")
    return {connection: Order(bool(paused), at / 1000) for connection, paused, at in rows}


def give_order(database: sqlite3.Connection, connection: str, order: Order) -> None:
    """Say that a connection shall pause, or go on; a process at work hears it within a second.

    Args:
        database: within a transaction.
        connection: the connection's name.
        order: what, and when.
    """
    row = (connection, order.paused, round(order.at * 1000))
    database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", row)


def _keep(database: sqlite3.Connection, *, connection: str, standing: Standing) -> None:
    database.execute("DELETE FROM holds WHERE connection = ?", (connection,))
    if standing.held is not None:
        row = (connection, standing.held.code, round(standing.held.since * 1000))
        database.execute("INSERT INTO holds VALUES (?, ?, ?)", row)
    _keep_origins(database, connection=connection, origins=standing.origins)


def _keep_origins(database: sqlite3.Connection, *, connection: str, origins: Iterable[str]) -> None:
    database.executemany(
        "INSERT OR IGNORE INTO origins VALUES (?, ?)",
        [(connection, origin) for origin in sorted(origins)],
    )
