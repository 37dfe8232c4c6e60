"""Wakes readers when there may be new events, because a process says so or a pause ends.

A process that appends tells its own readers and the workers that it has started. Other processes
cannot tell them, so a reader also asks after a pause that grows while nothing comes.
"""

from __future__ import annotations

import asyncio
import contextlib

_SHORTEST = 0.005
_LONGEST = 0.25


class Arrivals:
    """Wakes readers that wait for events."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.count = 0

    def announce(self) -> None:
        """Tell all readers that something came."""
        self.count += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def watch(self) -> Polling:
        """Begin to wait for events that come from now on."""
        return Polling(self, self._waiting)


class Polling:
    """One reader's patience."""

    def __init__(self, arrivals: Arrivals, waiting: set[asyncio.Future[None]]) -> None:
        self._arrivals = arrivals
        self._waiting = waiting
        self._seen = arrivals.count
        self._pause = _SHORTEST

    @property
    def is_slow(self) -> bool:
        """Whether nothing came for so long that the pause grows no more."""
        return self._pause >= _LONGEST

    async def wait(self) -> None:
        """Wait until something has come since the last time, or until it is time to look again."""
        if self._seen == self._arrivals.count:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await future
            finally:
                self._waiting.discard(future)
            self._pause = min(_LONGEST, 2 * self._pause)
        self._seen = self._arrivals.count
