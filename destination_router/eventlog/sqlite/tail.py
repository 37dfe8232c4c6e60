"""What this process appended last, as it lies in the file: a reader that keeps up reads no file.

To read an event from the file costs a thread, several calls of the system and a checksum. What was
appended here is known already, and it is held only once it is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.eventlog.interface import Event

ROOM = 4 * 2**20
"""How many bytes of bodies one reader has waiting at most; one that is further behind reads the
file."""


class Tail:
    """The events that one connection reads next, as far as they are in memory: without a gap.

    Args:
        room: how many bytes their bodies may have.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._events: list[Event] = []
        self._bytes = 0

    def put(self, events: Sequence[Event], size: int) -> None:
        """Hold what was appended, in place of all earlier events if there is a gap or no room.

        Args:
            events: at least one, with offsets that rise by one.
            size: of their bodies together.
        """
        held = self._events
        if held and (held[-1].offset + 1 != events[0].offset or self._bytes + size > self._room):
            held.clear()
            self._bytes = 0
        if size <= self._room:
            held += events
            self._bytes += size

    def take(self, after: int, limit: int) -> list[Event]:
        """Give up the events behind an offset; none where it is not known what comes next.

        Args:
            after: all up to it were read.
            limit: how many at most.
        """
        held = self._events
        if not held or after + 1 < held[0].offset:
            return []
        start = after + 1 - held[0].offset
        taken = held[start : start + limit]
        self._bytes -= sum(len(event.body) for event in held[: start + limit])
        del held[: start + limit]
        return taken
