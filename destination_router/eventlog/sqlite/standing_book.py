"""Keeps connections' standings with their vendors in an event log's file.

A standing is a hold, the proven origins, and a person's order to pause or to go on.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from functools import partial

from destination_router.eventlog.interface import Held, LogUnavailableError, Order, Standing
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.router_log import BookStore
from destination_router.eventlog.sqlite.checksums import DamageError, checked_time


class LoggedStanding:
    """Keeps connections' standings in an event log's file."""

    def __init__(self, log: BookStore) -> None:
        self._log = log

    async def standing(self, connection: str) -> Standing:
        """Read a connection's standing."""
        return await self._log.transact(partial(_standing, connection=connection))

    async def keep(self, connection: str, standing: Standing) -> None:
        """Keep a connection's standing. It is kept when this returns."""
        await self._log.transact(partial(_keep, connection=connection, standing=standing))

    async def order(self, connection: str) -> Order | None:
        """Read a person's latest order for a connection."""
        return (await self._log.query(all_orders)).get(connection)


class StandingFile:
    """The standings for a command that sends beside a router, in an existing log's file.

    The command obeys a person's orders, and reads and keeps the proven origins. A hold is the
    router's own. The command reports what it meets itself, which ends with it.
    """

    def __init__(self, file: LogOnDemand) -> None:
        self._file = file

    async def standing(self, connection: str) -> Standing:
        """Read which origins are proven; none if there is no file."""
        if not self._file.is_there:
            return Standing()
        try:
            known = await LoggedStanding(self._file.opened()).standing(connection)
        except LogUnavailableError:
            return Standing()
        return Standing(origins=known.origins)

    async def keep(self, connection: str, standing: Standing) -> None:
        """Keep the proven origins if the file takes them. No file is made for this."""
        if not self._file.is_there:
            return
        write = partial(_keep_origins, connection=connection, origins=standing.origins)
        with contextlib.suppress(LogUnavailableError):
            await self._file.opened().transact(write)

    async def order(self, connection: str) -> Order | None:
        """Read a person's latest order for a connection; None if there is no file."""
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
    return {connection: Held(code, _moment(since)) for connection, code, since in rows}


def all_orders(database: sqlite3.Connection) -> dict[str, Order]:
    """List the latest orders, by connection."""
    rows = database.execute("SELECT connection, paused, at FROM orders")
    return {connection: Order(bool(paused), _moment(at)) for connection, paused, at in rows}


def _moment(found: object) -> float | None:
    """Read a time. Without it, a hold still holds, and a list still shows the others."""
    try:
        return checked_time(found, "")
    except DamageError:
        return None


def _milliseconds(moment: float | None) -> int:
    return -1 if moment is None else round(moment * 1000)


def give_order(database: sqlite3.Connection, connection: str, order: Order) -> None:
    """Order a connection to pause or to go on. A running process obeys within a second.

    Args:
        database: within a transaction.
        connection: the connection's name.
        order: the order, with its time.
    """
    row = (connection, order.paused, _milliseconds(order.at))
    database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", row)


def _keep(database: sqlite3.Connection, *, connection: str, standing: Standing) -> None:
    database.execute("DELETE FROM holds WHERE connection = ?", (connection,))
    if standing.held is not None:
        row = (connection, standing.held.code, _milliseconds(standing.held.since))
        database.execute("INSERT INTO holds VALUES (?, ?, ?)", row)
    _keep_origins(database, connection=connection, origins=standing.origins)


def _keep_origins(database: sqlite3.Connection, *, connection: str, origins: Iterable[str]) -> None:
    database.executemany(
        "INSERT OR IGNORE INTO origins VALUES (?, ?)",
        [(connection, origin) for origin in sorted(origins)],
    )
