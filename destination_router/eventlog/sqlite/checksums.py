"""Finds damage that SQLite does not notice: bytes of a row that are not as they were written.

A checksum is beside each event and each mark of a connection's progress. Rows that an older
version wrote have none and are not checked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias
from zlib import crc32


class DamageError(Exception):
    """A row is missing or not as it was written. The text says which, without the content."""


EventRow: TypeAlias = tuple[int, str | None, bytes, int, str | None, str | None, int | None]
"""An event as the file holds it: the arguments of `check_event`."""


def event_checksum(body: bytes, *about: Hashable) -> int:
    """Make an event's checksum, over its body and everything that decides who gets what."""
    return crc32(body, _checksum_about(*about))


def event_checksums(bodies: Iterable[bytes], *about: Hashable) -> list[int]:
    """Make the checksums of events that differ only in their bodies."""
    start = _checksum_about(*about)
    return [crc32(body, start) for body in bodies]


@lru_cache(maxsize=64, typed=True)
def _checksum_about(*about: Hashable) -> int:
    """A request's events have this in common. `typed`: 1 and True are written differently."""
    return crc32(repr(about).encode())


def mark_checksum(connection: str, offset: int) -> int:
    """Make the checksum of a mark that a connection is done with an event, or up to it."""
    return crc32(f"{offset} {connection}".encode())


def check_event(  # noqa: PLR0913, PLR0917 -- the columns, in order
    offset: int,
    target: str | None,
    body: object,
    received_at: object,
    source: str | None,
    replay: str | None,
    checksum: int | None,
) -> None:
    """Check that an event is as it was written.

    Raises:
        DamageError: it is not.
    """
    written = (
        isinstance(body, bytes)
        and isinstance(received_at, int)
        and (
            checksum is None
            or event_checksum(body, received_at, target, source, replay) == checksum
        )
    )
    if not written:
        raise DamageError(f"event {offset} is not as it was written")


def checked_events(rows: Iterable[EventRow]) -> Iterator[EventRow]:
    """Yield events after `check_event` has checked each.

    Raises:
        DamageError: one is not.
    """
    about: tuple[object, ...] = ()
    start = 0
    for row in rows:
        _, target, body, received_at, source, replay, checksum = row
        if type(body) is bytes and type(received_at) is int and checksum is not None:
            here = (received_at, target, source, replay)
            if here != about:  # a request's events have it in common
                start, about = _checksum_about(*here), here
            if crc32(body, start) == checksum:
                yield row
                continue
        check_event(*row)
        yield row


def check_mark(connection: str, offset: int, checksum: int | None) -> None:
    """Check that a connection's progress is as it was noted.

    Raises:
        DamageError: it is not.
    """
    if checksum is not None and mark_checksum(connection, offset) != checksum:
        raise DamageError(f"how far {connection!r} is, is not as it was written")
