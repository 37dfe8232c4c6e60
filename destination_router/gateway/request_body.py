"""Reads and decompresses the body of a request, within a bound for any compression."""

from __future__ import annotations

import io
import zlib
from collections.abc import AsyncIterable

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from destination_router.contract.records import Reject
from destination_router.gateway.body_room import Place

_GZIP = 31  # zlib's name for "a gzip header and trailer, and the largest window"
_SLICE_BYTES = 64 * 1024


class Chunks:
    """The body of a request as it comes in; as Starlette's `Request.stream`, with less ado.

    Raises `ClientDisconnect` where the sender leaves before its end.

    Args:
        receive: ASGI's.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if not self._more:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


async def read_body(
    chunks: AsyncIterable[bytes], encoding: str | None, limit: int, place: Place | None = None
) -> bytes:
    """Read a body, and decompress it if its `Content-Encoding` is exactly `gzip`.

    Args:
        chunks: the body as it comes in; what is refused is not read to its end.
        encoding: the request's `Content-Encoding`. Any other than `gzip` is not decoded, as in
            rudder-server.
        limit: how many bytes it may have, unpacked.
        place: where it is held in memory; None: wherever there is room.

    Raises:
        Reject: `too_large`; `overloaded`; or `unreadable_body` where the gzip is broken, cut short
            or followed by anything else.
    """
    plain = _PlainBody(limit, place)
    body = _GzipBody(limit, plain) if encoding == "gzip" else plain
    async for chunk in chunks:
        body.feed(chunk)
    return body.close()


async def drain(chunks: AsyncIterable[bytes], limit: int) -> None:
    """Discard the rest of a body, up to a limit in bytes.

    A sender that is still writing when the connection closes sees a broken connection, which it
    retries, and not the answer, which says that there is no use in it.
    """
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            return


class _PlainBody:
    def __init__(self, limit: int, place: Place | None) -> None:
        self._limit = limit
        self._place = place
        self._size = 0
        self._only = b""  # all of it, as long as it came in one piece: it is not copied
        self._bytes: io.BytesIO | None = None  # which gives away what it holds, and copies nothing

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise _too_large()
        if self._place is not None:
            self._place.hold(self._size)
        if self._size == len(chunk):
            self._only = chunk
            return
        if not chunk:  # as at the end of a body whose end came late
            return
        if self._bytes is None:
            self._bytes = io.BytesIO()
            self._bytes.write(self._only)
            self._only = b""
        self._bytes.write(chunk)

    def close(self) -> bytes:
        return self._only if self._bytes is None else self._bytes.getvalue()


class _GzipBody:
    """One gzip member after the other, as gzip allows; never more in memory than the limit."""

    def __init__(self, limit: int, body: _PlainBody) -> None:
        self._body = body
        # What cannot be compressed grows by 0.03 % at the most, headers and trailers aside.
        self._packed_room = limit + limit // 1000 + 1024
        self._room = limit
        self._member = zlib.decompressobj(_GZIP)

    def feed(self, chunk: bytes) -> None:
        self._packed_room -= len(chunk)
        if self._packed_room < 0:
            raise _too_large()
        # In slices, because zlib copies what it leaves over: once for each member.
        for start in range(0, len(chunk), _SLICE_BYTES):
            self._unpack(chunk[start : start + _SLICE_BYTES])

    def _unpack(self, packed: bytes) -> None:
        while packed:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                unpacked = self._member.decompress(packed, self._room + 1)
            except zlib.error:
                raise _unreadable() from None
            self._body.feed(unpacked)
            self._room -= len(unpacked)
            packed = self._member.unused_data

    def close(self) -> bytes:
        if not self._member.eof:
            raise _unreadable()
        return self._body.close()


def _too_large() -> Reject:
    return Reject("too_large", "send fewer events in a request")


def _unreadable() -> Reject:
    return Reject("unreadable_body", "the body is not the gzip that its header promises")
