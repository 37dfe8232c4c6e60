"""Holds this process's last appended events, so that a reader that keeps up reads no file.

A read of the file costs a thread, several system calls and a checksum. This process knows the
events that it appended. It holds an event only once it is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.eventlog.interface import Event

ROOM = 2 * 2**20
"""How many bytes of bodies wait for a reader at most; one that is further behind reads the file."""


class Tail:
    """The next events of one connection, as far as they are in memory without a gap.

    Args:
        room: how many bytes their bodies may take.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._events: list[Event] = []
        self._bytes = 0

    def put(self, events: Sequence[Event], size: int) -> None:
        """Hold appended events. Earlier events go at a gap, or for lack of room.

        Args:
            events: at least one, with offsets that rise by one.
            size: the size of all their bodies.
        """
        held = self._events
        if held and held[-1].offset + 1 != events[0].offset:
            self._drop(len(held))
        held += events
        self._bytes += size
        gone, excess = 0, self._bytes - self._room
        while excess > 0:
            excess -= len(held[gone].body)
            gone += 1
        self._drop(gone)

    @property
    def first(self) -> int | None:
        """The offset of the first event held; None: there is none."""
        return self._events[0].offset if self._events else None

    def take(self, after: int, limit: int) -> list[Event]:
        """Remove and return the events after an offset; none if the next one is not known here.

        Args:
            after: the offset up to which all were read.
            limit: how many at most.
        """
        held = self._events
        if not held or after + 1 < held[0].offset:
            return []
        start = after + 1 - held[0].offset
        taken = held[start : start + limit]
        self._drop(start + limit)
        return taken

    def _drop(self, count: int) -> None:
        if count >= len(self._events):  # as where a reader keeps up
            self._events.clear()
            self._bytes = 0
            return
        self._bytes -= sum([len(event.body) for event in self._events[:count]])
        del self._events[:count]
