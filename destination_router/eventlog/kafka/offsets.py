"""A place in a topic of several partitions as one number, as `Event.offset` has it. Pure.

In partition 0, it is Kafka's own offset. It rises within a partition and never comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 48


def place_of(partition: int, offset: int) -> int:
    """Write a partition and an offset as one number."""
    return partition << _BITS | offset


def partition_of(place: int) -> int:
    """Return the partition of a place."""
    return place >> _BITS


def offset_of(place: int) -> int:
    """Return the offset of a place within its partition."""
    return place & (1 << _BITS) - 1


def by_partition(places: Iterable[int]) -> dict[int, list[int]]:
    """Group places as the offsets of each partition."""
    found: dict[int, list[int]] = {}
    for place in places:
        found.setdefault(partition_of(place), []).append(offset_of(place))
    return found
