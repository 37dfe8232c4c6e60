"""The head of an answer and its body in one write.

uvicorn writes them one after the other. Each write is a system call, which wakes the reader: for
an answer of two bytes, the second one takes a sixth of all that a request costs.
"""

from __future__ import annotations

import asyncio

_ANSWER, _GO_ON, _END = b"HTTP/1.1 ", b"HTTP/1.1 1", b"\r\n\r\n"

_COPIED_BYTES = 64 * 1024
"""A longer body is written by itself: to copy it would cost more than a write."""


class JoinedWrites:
    """A transport that keeps the head of an answer until what follows it is written.

    What follows at once goes out with it. A head that nothing follows at once goes out by itself,
    in the next turn of the event loop.

    Args:
        transport: where all goes.
        loop: the running one.
    """

    __slots__ = ("_head", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, in order; a head a moment later."""
        if self._head:
            if len(data) <= _COPIED_BYTES:
                data = self._head + data
                self._head = b""
            else:
                self._flush()
        elif data.startswith(_ANSWER) and data.endswith(_END) and not data.startswith(_GO_ON):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def write_eof(self) -> None:
        """Write no more."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """End when all is written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """End at once."""
        self._head = b""
        self._transport.abort()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
