"""An event log in memory, for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from destination_router.contract.records import Pairing
from destination_router.eventlog.interface import Event, Order, PairingEntry, Standing


class MemoryEventLog:
    """Keeps events in memory until every connection has committed them.

    Args:
        connections: the names of those that will read.
    """

    def __init__(self, connections: Iterable[str]) -> None:
        self._connections = tuple(connections)
        self._events: dict[int, Event] = {}
        self._waiting: dict[int, set[str]] = {}
        self._next_offset = 0
        self._changed = asyncio.Condition()

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        """Accept events in order."""
        async with self._changed:
            for body in bodies:
                if self._connections:  # else nobody would ever commit it
                    self._events[self._next_offset] = Event(self._next_offset, body, source=source)
                    self._waiting[self._next_offset] = set(self._connections)
                self._next_offset += 1
            self._changed.notify_all()

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events after an offset that the connection has not committed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._after(connection, after, 1))
            return self._after(connection, after, limit)

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Drop events that every connection is done with."""
        async with self._changed:
            for offset in offsets:
                waiting = self._waiting.get(offset, set())
                waiting.discard(connection)
                if not waiting:
                    self._waiting.pop(offset, None)
                    self._events.pop(offset, None)
            self._changed.notify_all()

    async def wait_until_done(self) -> None:
        """Wait until every connection has committed everything."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._events)

    def _after(self, connection: str, after: int, limit: int) -> list[Event]:
        found: list[Event] = []
        for offset, event in self._events.items():
            if len(found) == limit:
                break
            if offset > after and connection in self._waiting[offset]:
                found.append(event)
        return found


class MemoryPairings:
    """Keeps ties in memory, for a demo and for tests."""

    def __init__(self) -> None:
        self._made_at: dict[tuple[str, str, str], dict[str, int | None]] = {}

    async def enter(self, scope: str, pairings: Sequence[Pairing], now: float) -> PairingEntry:
        """Enter a request's ties, all or none."""
        books = [self._book(scope, pairing) for pairing in pairings]
        both = list(zip(pairings, books, strict=True))
        if all(book.get(pairing.value) is not None for pairing, book in both):
            return PairingEntry(made=True)
        for pairing, book in both:
            if pairing.value not in book and _others(book, pairing, now) >= pairing.limit:
                return PairingEntry(beyond=pairing)
        for pairing, book in both:
            book.setdefault(pairing.value, None)
        return PairingEntry()

    async def confirm(self, scope: str, pairings: Sequence[Pairing], now: float) -> None:
        """Note that the vendor has made ties."""
        for pairing in pairings:
            book = self._book(scope, pairing)
            if pairing.value in book and book[pairing.value] is None:
                book[pairing.value] = _milliseconds(now)

    def _book(self, scope: str, pairing: Pairing) -> dict[str, int | None]:
        return self._made_at.setdefault((scope, pairing.rule, pairing.key), {})


class MemoryStanding:
    """Keeps connections' standings in memory, for a demo and for tests."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}
        self.orders: dict[str, Order] = {}

    async def standing(self, connection: str) -> Standing:
        """Read a connection's standing."""
        return self._standing.get(connection, Standing())

    async def order(self, connection: str) -> Order | None:
        """Read a person's latest order for a connection."""
        return self.orders.get(connection)

    async def keep(self, connection: str, standing: Standing) -> None:
        """Keep a connection's standing."""
        self._standing[connection] = standing


def _others(book: dict[str, int | None], pairing: Pairing, now: float) -> int:
    """Count the other current values of a tie's key, including unconfirmed ones."""
    since = -1 if pairing.period is None else _milliseconds(now - pairing.period)
    return sum(
        value != pairing.value and (made_at is None or made_at > since)
        for value, made_at in book.items()
    )


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
