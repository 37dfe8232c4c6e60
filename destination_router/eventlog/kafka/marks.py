"""A connection's progress in a partition, as its group commits it. Pure.

A commit is one number, below which everything is done, and 4,095 characters of metadata. The
metadata holds what is done above the number, as alternating lengths: how many are not done, how
many are done, and so on. Both come from one `Mark`, because one without the other would lose
events or repeat them.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import msgspec

MOST_CHARACTERS = 4000
"""A little less than a broker takes (`offset.metadata.max.bytes` is 4096)."""

CROWDED_CHARACTERS = 3000
"""From this length on, nothing more is read until the oldest events are done."""

_VERSION = "1"
_MOST_DONE = 100_000_000
"""More cannot be out at once. A commit with more is no router's."""


class Mark(msgspec.Struct, frozen=True):
    """A connection's progress in a partition.

    Attributes:
        next: the first offset that is not done.
        done: the offsets above it that are done, ascending.
    """

    next: int
    done: tuple[int, ...] = ()


def written(mark: Mark) -> str:
    """Write the offsets that are done above a mark.

    If they do not fit, the highest are left out. Those would be delivered again after a crash, and
    their vendors know them by their keys.
    """
    lengths = _lengths(mark)
    text = _packed(lengths)
    while len(text) > MOST_CHARACTERS:
        keep = len(lengths) * MOST_CHARACTERS // len(text) * 9 // 10
        lengths = lengths[: keep - keep % 2]
        text = _packed(lengths)
    return text


def read(next_offset: int, text: str) -> Mark:
    """Read a commit.

    Raises:
        ValueError: the text is not one that `written` wrote.
    """
    if not text:
        return Mark(next_offset)
    if not text.startswith(_VERSION):
        raise ValueError("the metadata of the commit is not this program's")
    try:
        content = zlib.decompress(base64.b85decode(text[1:]))
    except zlib.error as error:
        raise ValueError("the metadata of the commit is damaged") from error
    done: list[int] = []
    at = next_offset
    lengths = _numbers(content)
    if sum(lengths) > _MOST_DONE:
        raise ValueError("the metadata of the commit is not this program's")
    for number, length in enumerate(lengths):
        if number % 2:
            done.extend(range(at, at + length))
        at += length
    return Mark(next_offset, tuple(done))


def _lengths(mark: Mark) -> list[int]:
    """List the alternating lengths: how many are not done, how many are, ..."""
    lengths: list[int] = []
    at = mark.next
    done = mark.done
    start = 0
    for index in range(1, len(done) + 1):
        if index == len(done) or done[index] != done[index - 1] + 1:
            first, last = done[start], done[index - 1]
            lengths += (first - at, last - first + 1)
            at = last + 1
            start = index
    return lengths


def _packed(lengths: Sequence[int]) -> str:
    if not lengths:
        return ""
    content = bytearray()
    for length in lengths:
        rest = length
        while rest > 127:  # noqa: PLR2004 -- seven bits a byte, as in varints everywhere
            content.append(rest & 127 | 128)
            rest >>= 7
        content.append(rest)
    return _VERSION + base64.b85encode(zlib.compress(bytes(content), 6)).decode()


def _numbers(content: bytes) -> list[int]:
    found = []
    value = shift = 0
    for byte in content:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004
            found.append(value)
            value = shift = 0
    return found
