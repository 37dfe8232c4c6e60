"""How much memory the bodies of all requests may take together.

What a sender sends is in memory from when it comes in until it is on disk. However many send at
once, that is bounded here: whoever finds no room is told to send again a little later.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from destination_router.contract.records import Reject

FREE_BYTES = 64 * 1024
"""What each body takes without being counted: few large bodies never keep the small ones out.

How many there are at once, the number of connections bounds.
"""

RETRY_AFTER_SECONDS = 2


class BodyRoom:
    """Room for bodies.

    Args:
        limit: how many bytes, beyond `FREE_BYTES` of each.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def place(self) -> Place:
        """Give a request its place; what it holds is given back at the end of the block."""
        return Place(self)

    def change(self, before: int, after: int) -> None:
        """Let a place grow or shrink.

        Raises:
            Reject: `overloaded`: there is no room for what it grows by.
        """
        taken = self._taken - before + after
        if after > before and taken > self._limit:
            raise Reject("overloaded", "send it again a little later")
        self._taken = taken


class Place:
    """What one request holds in memory.

    Args:
        room: what it counts against.
    """

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._counted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hold(0)

    def hold(self, size: int) -> None:
        """Hold so many bytes in all.

        Raises:
            Reject: `overloaded`.
        """
        counted = max(0, size - FREE_BYTES)
        if counted != self._counted:
            self._room.change(self._counted, counted)
            self._counted = counted
