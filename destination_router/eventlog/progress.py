"""How far one connection is: a low-water mark, and what is done above it. Pure.

Everything up to the mark is done. Events are committed in any order, because users overtake each
other; the mark moves when the oldest event that is out comes back.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable


class Progress:
    """The progress of one connection.

    Args:
        low: the mark: every event up to this offset is done.
        done: the offsets above it that are done.
    """

    def __init__(self, low: int, done: Iterable[int] = ()) -> None:
        self.low = low
        self._through = low
        self._out: OrderedDict[int, None] = OrderedDict()
        self._done = {offset for offset in done if offset > low}
        self._oldest_done = sorted(self._done)

    def is_done(self, offset: int) -> bool:
        """Whether an event has been committed."""
        return offset <= self.low or offset in self._done

    def is_out(self, offset: int) -> bool:
        """Whether an event was handed out and is not committed yet."""
        return offset in self._out

    @property
    def done_above_low(self) -> int:
        """How many events above the mark are done."""
        return len(self._done)

    def done_offsets(self) -> list[int]:
        """List the events above the mark that are done, ascending."""
        return sorted(self._done)

    def hand_out(self, offsets: Iterable[int], through: int) -> None:
        """Note which events were read.

        Args:
            offsets: those of them that the connection shall deliver, ascending.
            through: the last that was looked at: up to it, all others are none of its business.
        """
        for offset in offsets:
            self._out[offset] = None
        self._through = max(self._through, through)
        self._move()

    def commit(self, offsets: Collection[int]) -> None:
        """Note what is done."""
        for offset in offsets:
            self._out.pop(offset, None)
            if not self.is_done(offset):
                self._done.add(offset)
                heapq.heappush(self._oldest_done, offset)
        self._move()

    def _move(self) -> None:
        low = next(iter(self._out)) - 1 if self._out else self._through
        self.low = max(self.low, low)
        while self._oldest_done and self._oldest_done[0] <= self.low:
            self._done.discard(heapq.heappop(self._oldest_done))
