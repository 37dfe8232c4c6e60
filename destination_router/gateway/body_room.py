"""Bounds the memory that the bodies of all requests take together.

A body is in memory from its arrival until it is on disk. This bounds all of them, however many
senders there are. A sender that finds no room is told to send again a little later.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from destination_router.contract.records import Reject

FREE_BYTES = 64 * 1024
"""The bytes of each body that do not count, so that large bodies never keep small ones out.

The number of connections bounds how many there are at once.
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
        """Give a request its place. The end of the block gives back what it holds."""
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
    """The memory of one request.

    Args:
        room: the room that it counts against.
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
        """Hold this many bytes in all.

        Raises:
            Reject: `overloaded`.
        """
        counted = max(0, size - FREE_BYTES)
        if counted != self._counted:
            self._room.change(self._counted, counted)
            self._counted = counted
