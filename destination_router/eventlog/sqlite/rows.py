"""Joins the events of a request into rows of the file, and takes rows apart again.

SQLite's work is for each row, so a row has up to 64 KiB of events. Its `body` is theirs, one after
the other, and `lengths` says how long each is (4 bytes, the lowest first). Its `offset` is that of
its last event: so what is after an offset, and what is done up to one, are found without looking
into a row. A row without `lengths` is one event: a replay, an event that came alone, a large one,
or one that a version before schema 6 wrote.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TypeAlias, cast

import msgspec

from destination_router.eventlog.sqlite.checksums import (
    DamageError,
    checked_time,
    event_checksum,
    joined_checksum,
)

ROW_BYTES = 64 * 1024
"""The most that the bodies of a row of several events take together."""

COLUMNS = "offset, target, body, received_at, source, replay, checksum, lengths"
"""The columns of a `StoredRow`."""

FIRST = "(offset - ifnull(max(length(lengths) / 4, 1), 1) + 1)"
"""The offset of a row's first event, in SQL. SQLite knows the length without reading the row."""

StoredRow: TypeAlias = tuple[
    int, str | None, object, object, str | None, str | None, int | None, object
]
"""A row as the file holds it, its `COLUMNS`: a damaged one may hold anything."""

_LENGTH = 4


class Row(msgspec.Struct, frozen=True, gc=False):
    """Events that came in together, or those of them that are asked for.

    Attributes:
        first: the offset of the first; theirs rise by one.
        bodies: the messages as wire JSON; at least one.
        received_at: Unix time in milliseconds.
        source: their sender's name; None if it is unknown.
        target: the only connection that they are for; None: all.
        replay: what is sent again; None: it is no replay.
    """

    first: int
    bodies: list[bytes]
    received_at: int
    source: str | None
    target: str | None
    replay: str | None

    @property
    def last(self) -> int:
        """The offset of the last event."""
        return self.first + len(self.bodies) - 1

    def events(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the body of each event."""
        return enumerate(self.bodies, self.first)

    def part(self, after: int, most: int) -> Row:
        """Return so many of the events after an offset at most; at least one must be there."""
        start = max(0, after + 1 - self.first)
        if not start and len(self.bodies) <= most:
            return self
        return msgspec.structs.replace(
            self, first=self.first + start, bodies=self.bodies[start : start + most]
        )


def joined(
    first: int, at: int, source: str | None, bodies: Sequence[bytes]
) -> Iterator[tuple[object, ...]]:
    """Join events for all connections into rows of as many as there is room for.

    Args:
        first: the offset of the first event.
        at: when they came in, in milliseconds.
        source: their sender's name; None if it is unknown.
        bodies: the messages as wire JSON.

    Yields:
        The values of `offset, received_at, source, body, checksum, lengths`.
    """
    sizes = list(map(len, bodies))
    ends = list(accumulate(sizes))
    start = before = 0
    while start < len(bodies):
        end = max(start + 1, bisect_right(ends, before + ROW_BYTES))
        offset = first + end - 1
        if end == start + 1:
            body = bodies[start]
            yield offset, at, source, body, event_checksum(body, at, None, source, None), None
        else:
            body = b"".join(bodies[start:end])
            lengths = struct.pack(f"<{end - start}I", *sizes[start:end])
            checksum = joined_checksum(offset, body, lengths, at, None, source, None)
            yield offset, at, source, body, checksum, lengths
        start, before = end, ends[end - 1]


def checked_rows(rows: Iterable[StoredRow]) -> Iterator[Row]:
    """Take apart rows, after a check that each is as it was written.

    Raises:
        DamageError: one is not.
    """
    for row in rows:
        offset, target, body, received_at, source, replay, checksum, lengths = row
        bodies = None
        if isinstance(body, bytes) and isinstance(received_at, int):
            about = (received_at, target, source, replay)
            if lengths is not None:
                bodies = _taken_apart(offset, body, lengths, checksum, about)
            elif checksum is None or event_checksum(body, *about) == checksum:
                bodies = [body]
        if bodies is None:
            raise DamageError(_told(offset, lengths))
        first = offset - len(bodies) + 1
        yield Row(first, bodies, cast("int", received_at), source, target, replay)


def time_alone(offset: int, received_at: object) -> float:
    """Check when a row came in, of which nothing else is read; return Unix time in seconds.

    Raises:
        DamageError: it is no time.
    """
    return checked_time(received_at, f"event {offset}, or one before it,")


def _taken_apart(
    offset: int, body: bytes, lengths: object, checksum: int | None, about: tuple[Hashable, ...]
) -> list[bytes] | None:
    """Return the events of a row that has lengths; None if it is not as it was written."""
    # The checksum comes first: what else is there may say anything.
    if not isinstance(lengths, bytes) or joined_checksum(offset, body, lengths, *about) != checksum:
        return None
    count, rest = divmod(len(lengths), _LENGTH)
    sizes = struct.unpack_from(f"<{count}I", lengths)
    if rest or not count or sum(sizes) != len(body):
        return None
    return [body[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]


def _told(offset: int, lengths: object) -> str:
    """Say which events are damaged, as far as a row's number and its lengths tell."""
    if lengths is None:
        return f"event {offset} is not as it was written"
    if not isinstance(lengths, bytes):
        return f"event {offset}, or one before it, is not as it was written"
    first = max(1, offset - max(1, len(lengths) // _LENGTH) + 1)
    return f"one of the events {first} to {offset} is not as it was written"
