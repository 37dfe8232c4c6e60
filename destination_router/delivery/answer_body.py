"""Reads and decompresses the body of a vendor's answer, within bounds.

A vendor may send for ever, byte by byte, or send a few kilobytes that decompress to gigabytes. So a
body is read up to a bound and a deadline. If it is cut short, `is_whole` is false.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterable

import httpx
import msgspec

_GZIP = 31  # zlib's names for "a gzip header and trailer", "a zlib one" and "neither"
_ZLIB = 15
_BARE = -15
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_HEADER = 2
_DEFLATE = 8  # the one method that zlib's header can name
_FRAMING = 1024
"""The most bytes that packing may add to data that cannot be packed, beside a thousandth of it."""


class AnswerBody(msgspec.Struct, frozen=True):
    """The part of a body that was read.

    Attributes:
        content: decompressed.
        is_whole: whether it is the whole body.
    """

    content: bytes
    is_whole: bool


async def read_answer_body(
    chunks: AsyncIterable[bytes], encoding: str, limit: int, deadline: float
) -> AnswerBody:
    """Read a body to its end, or as far as the limits allow. Never raises, whatever comes.

    Args:
        chunks: the body as it comes.
        encoding: its `Content-Encoding`. What is packed otherwise than by gzip or deflate is read
            as it is.
        limit: how many bytes it may have, packed and unpacked.
        deadline: until when it may take, on the event loop's clock.
    """
    unpacker = _Unpacker(encoding.strip().lower(), limit)
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in chunks:
                if not unpacker.feed(chunk):
                    return AnswerBody(unpacker.content, is_whole=False)
    except (TimeoutError, httpx.TransportError):
        return AnswerBody(unpacker.content, is_whole=False)
    return AnswerBody(unpacker.content, unpacker.is_complete)


class _Unpacker:
    def __init__(self, encoding: str, limit: int) -> None:
        self._content = io.BytesIO()
        self._limit = limit
        self._packed_room = limit + limit // 1000 + _FRAMING
        self._encoding = encoding
        window = _WINDOWS.get(encoding)
        self._member = None if window is None else zlib.decompressobj(window)
        self._beginning = b""

    @property
    def content(self) -> bytes:
        """The decompressed content so far, within the limit."""
        return self._content.getvalue()

    @property
    def is_complete(self) -> bool:
        """Whether the compressed stream has ended. An empty one has."""
        return self._member is None or not self._beginning or self._member.eof

    def feed(self, chunk: bytes) -> bool:
        """Take a piece. Return false if it, or anything after it, cannot be read."""
        self._packed_room -= len(chunk)
        room = self._limit - self._content.tell()
        try:
            unpacked = chunk if self._member is None else self._unpack(chunk, room + 1)
        except zlib.error:
            return False
        self._content.write(unpacked[:room])
        return len(unpacked) <= room and self._packed_room >= 0

    def _unpack(self, chunk: bytes, most: int) -> bytes:
        assert self._member is not None  # noqa: S101 -- the only caller has seen to it
        if self._member.eof:  # whatever follows is none of it
            return b""
        if len(self._beginning) < _HEADER:
            self._beginning += chunk
            if len(self._beginning) < _HEADER:
                return b""
            chunk, self._beginning = self._beginning, self._beginning[:_HEADER]
            if self._encoding == "deflate" and not _is_zlib(self._beginning):
                self._member = zlib.decompressobj(_BARE)
        return self._member.decompress(chunk, most)


def _is_zlib(beginning: bytes) -> bool:
    """Recognise zlib's header (RFC 1950), which some servers leave out of `deflate`."""
    return beginning[0] & 0x0F == _DEFLATE and int.from_bytes(beginning, "big") % 31 == 0
