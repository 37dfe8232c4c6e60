"""Keeps the ties that a vendor limits: entered before they are sent, confirmed when made.

A tie is entered before its request goes out, so a crash in between costs at most a repeat of that
request. A tie that is entered but not confirmed counts, whatever its age. Keys and values are
personal, so only their digests are kept. They are kept for good, because a vendor's "once for ever"
does not end.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from functools import partial

from destination_router.contract.records import Pairing
from destination_router.eventlog.interface import PairingEntry
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.router_log import BookStore

_DIGEST_BYTES = 16
_MADE_AT = "SELECT made_at FROM pairings WHERE key = ? AND value = ?"
_OTHERS = """
SELECT count(*) FROM pairings
WHERE key = ? AND value <> ? AND (made_at IS NULL OR made_at > ?)
"""
_ENTER = "INSERT OR IGNORE INTO pairings VALUES (?, ?, NULL)"
_MADE = "UPDATE pairings SET made_at = ? WHERE key = ? AND value = ? AND made_at IS NULL"


class LoggedPairings:
    """Keeps ties in an event log's file."""

    def __init__(self, log: BookStore) -> None:
        self._log = log

    async def enter(self, scope: str, pairings: Sequence[Pairing], now: float) -> PairingEntry:
        """Enter a request's ties, all or none."""
        return await self._log.transact(partial(_enter, scope=scope, pairings=pairings, now=now))

    async def confirm(self, scope: str, pairings: Sequence[Pairing], now: float) -> None:
        """Note that the vendor has made ties."""
        await self._log.transact(partial(_confirm, scope=scope, pairings=pairings, now=now))


class PairingsFile:
    """Keeps ties in a file, which is made with the first one."""

    def __init__(self, file: LogOnDemand) -> None:
        self._file = file

    async def enter(self, scope: str, pairings: Sequence[Pairing], now: float) -> PairingEntry:
        """Enter a request's ties, all or none."""
        return await LoggedPairings(self._file.opened()).enter(scope, pairings, now)

    async def confirm(self, scope: str, pairings: Sequence[Pairing], now: float) -> None:
        """Note that the vendor has made ties."""
        await LoggedPairings(self._file.opened()).confirm(scope, pairings, now)


def _enter(
    connection: sqlite3.Connection, *, scope: str, pairings: Sequence[Pairing], now: float
) -> PairingEntry:
    rows = [_row(scope, pairing) for pairing in pairings]
    known = [connection.execute(_MADE_AT, row).fetchone() for row in rows]
    if all(made_at not in (None, (None,)) for made_at in known):
        return PairingEntry(made=True)
    for pairing, row, entered in zip(pairings, rows, known, strict=True):
        if entered is None and _others(connection, pairing, row, now) >= pairing.limit:
            return PairingEntry(beyond=pairing)
    connection.executemany(_ENTER, rows)
    return PairingEntry()


def _others(
    connection: sqlite3.Connection, pairing: Pairing, row: tuple[bytes, bytes], now: float
) -> int:
    """Count the other values of a tie's key that are still in their period."""
    since = -1 if pairing.period is None else _milliseconds(now - pairing.period)
    (count,) = connection.execute(_OTHERS, (*row, since)).fetchone()
    return int(count)


def _confirm(
    connection: sqlite3.Connection, *, scope: str, pairings: Sequence[Pairing], now: float
) -> None:
    at = _milliseconds(now)
    connection.executemany(_MADE, [(at, *_row(scope, pairing)) for pairing in pairings])


def _row(scope: str, pairing: Pairing) -> tuple[bytes, bytes]:
    return _digest(scope, pairing.rule, pairing.key), _digest(pairing.value)


def _digest(*parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
