"""An event log that lives as long as its process: for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from destination_router.eventlog.base import Event


class MemoryEventLog:
    """Keeps events in memory until every connection has committed them.

    Args:
        connections: the names of those that will read.
    """

    def __init__(self, connections: Iterable[str]) -> None:
        self._events: list[Event] = []
        self._next_offset = 0
        self._read = dict.fromkeys(connections, 0)
        self._committed = dict.fromkeys(self._read, 0)
        self._changed = asyncio.Condition()

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Accept events in order."""
        async with self._changed:
            for body in bodies:
                self._events.append(Event(self._next_offset, body))
                self._next_offset += 1
            self._changed.notify_all()

    async def read(self, connection: str, limit: int) -> list[Event]:
        """Wait for events that the connection has not read yet."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._read[connection] < self._next_offset)
            first = self._read[connection] - self._start
            events = self._events[first : first + limit]
            self._read[connection] = events[-1].offset + 1
            return events

    async def commit(self, connection: str, offset: int) -> None:
        """Forget what every connection is done with."""
        async with self._changed:
            self._committed[connection] = max(self._committed[connection], offset + 1)
            done = min(self._committed.values())
            del self._events[: max(0, done - self._start)]
            self._changed.notify_all()

    async def wait_until_done(self) -> None:
        """Wait until every connection has committed everything accepted so far."""
        async with self._changed:
            goal = self._next_offset
            await self._changed.wait_for(
                lambda: all(done >= goal for done in self._committed.values())
            )

    @property
    def _start(self) -> int:
        return self._events[0].offset if self._events else self._next_offset
