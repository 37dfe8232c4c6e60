"""Finds damage that SQLite does not notice: bytes of a row that are not as they were written.

A checksum is beside each row of events and each mark of a connection's progress. Rows that an older
version wrote have none and are not checked.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from zlib import crc32

_YEAR_10000 = 253_402_300_800_000
"""In milliseconds of Unix time: nothing after it can be written as a date."""


class DamageError(Exception):
    """A row is missing or not as it was written. The text says which, without the content."""


def event_checksum(body: bytes, *about: Hashable) -> int:
    """Make an event's checksum, over its body and everything that decides who gets what."""
    return crc32(body, _checksum_about(*about))


def joined_checksum(offset: int, body: bytes, lengths: bytes, *about: Hashable) -> int:
    """Make the checksum of a row of several events, and of its place: that says which they are."""
    return crc32(lengths, crc32(body, crc32(b"%d" % offset, _checksum_about(*about))))


@lru_cache(maxsize=64, typed=True)
def _checksum_about(*about: Hashable) -> int:
    """A request's events have this in common. `typed`: 1 and True are written differently."""
    return crc32(repr(about).encode())


def mark_checksum(connection: str, offset: int) -> int:
    """Make the checksum of a mark that a connection is done with an event, or up to it."""
    return crc32(f"{offset} {connection}".encode())


def check_mark(connection: str, offset: int, checksum: int | None) -> None:
    """Check that a connection's progress is as it was noted.

    Raises:
        DamageError: it is not.
    """
    if checksum is not None and mark_checksum(connection, offset) != checksum:
        raise DamageError(f"how far {connection!r} is, is not as it was written")


def checked_time(found: object, whose: str) -> float:
    """Check a time that is read without a checksum.

    Args:
        found: as the file holds it: Unix time in milliseconds, unless it is damaged.
        whose: says what it belongs to, in an error.

    Returns:
        Unix time in seconds.

    Raises:
        DamageError: it is no time.
    """
    if not isinstance(found, int) or not 0 <= found < _YEAR_10000:
        raise DamageError(f"{whose} is not as it was written")
    return found / 1000
