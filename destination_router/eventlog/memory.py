"""An event log that lives as long as its process: for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from destination_router.eventlog.interface import Event


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

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Accept events in order."""
        async with self._changed:
            for body in bodies:
                if self._connections:  # else nobody would ever commit it
                    self._events[self._next_offset] = Event(self._next_offset, body)
                    self._waiting[self._next_offset] = set(self._connections)
                self._next_offset += 1
            self._changed.notify_all()

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events after an offset that the connection has not committed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._after(connection, after, 1))
            return self._after(connection, after, limit)

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Forget what every connection is done with."""
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
