"""Keeps the progress of one connection: a low-water mark, and done events above it. Pure.

Everything up to the mark is done. Events are committed in any order, because users overtake each
other; the mark moves when the oldest event that is out comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush


class Progress:
    """The progress of one connection.

    Args:
        low: the mark: every event up to this offset is done.
        done: the offsets above it that are done.
    """

    def __init__(self, low: int, done: Iterable[int] = ()) -> None:
        self.low = low
        self._through = low
        self._out: set[int] = set()
        self._oldest_out: list[int] = []
        self._done = {offset for offset in done if offset > low}
        self._oldest_done = sorted(self._done)

    def is_done(self, offset: int) -> bool:
        """Tell whether an event has been committed."""
        return offset <= self.low or offset in self._done

    def is_out(self, offset: int) -> bool:
        """Tell whether an event was handed out and is not committed yet."""
        return offset in self._out

    @property
    def done(self) -> AbstractSet[int]:
        """The events above the mark that are done."""
        return self._done

    def done_offsets(self) -> list[int]:
        """List the events above the mark that are done, ascending."""
        return sorted(self._done)

    def hand_out(self, offsets: Iterable[int], through: int) -> None:
        """Note events that were read.

        Args:
            offsets: those of them that the connection shall deliver, ascending.
            through: the last that was looked at: up to it, all others are none of its business.
        """
        handed_out = tuple(offsets)
        self._out.update(handed_out)
        self._oldest_out += handed_out
        self._through = max(self._through, through)
        self._move()

    def commit(self, offsets: Collection[int]) -> None:
        """Note done events."""
        self._out.difference_update(offsets)
        self._move()
        low = self.low
        if max(offsets, default=low) <= low:  # they were the oldest, as they nearly always are
            return
        for offset in offsets:
            if offset > low and offset not in self._done:
                self._done.add(offset)
                heappush(self._oldest_done, offset)

    def _move(self) -> None:
        oldest, out = self._oldest_out, self._out
        if not out:
            oldest.clear()
        elif oldest[0] not in out:  # all that are out are among the oldest
            first = next(filter(out.__contains__, oldest))
            del oldest[: oldest.index(first)]
        self.low = max(self.low, oldest[0] - 1 if oldest else self._through)
        while self._oldest_done and self._oldest_done[0] <= self.low:
            self._done.discard(heappop(self._oldest_done))
