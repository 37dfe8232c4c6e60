"""HTTP connections that cancelled requests cannot exhaust.

If a request is cancelled after its connection is made and before it is used, httpcore (1.0.9) keeps
that connection for ever. Each takes a socket and one of `max_connections`. Once all are taken,
nothing is sent any more. The router cancels requests often, because a deadline holds for a whole
answer. So after a cancelled request, its pool of connections takes no further request, and is
closed once the requests under way have ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import cast

import httpx


class RenewedTransport(httpx.AsyncBaseTransport):
    """Sends over a pool of connections that is replaced when a request is cancelled.

    Args:
        make: makes connections, none of which is open yet.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._current = _Connections(make())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's body is read by the caller.

        Raises:
            httpx.TransportError: there is no answer.
        """
        connections = self._current
        connections.under_way += 1
        try:
            answer = await connections.transport.handle_async_request(request)
        except httpx.TransportError:
            await connections.leave()
            raise
        except BaseException:
            await self._renew(connections)
            await connections.leave()
            raise
        answer.stream = _Body(cast("httpx.AsyncByteStream", answer.stream), connections)
        return answer

    async def aclose(self) -> None:
        """Close every connection that no request uses, and the others as they come free."""
        await self._current.retire()

    async def _renew(self, connections: _Connections) -> None:
        if connections is self._current:
            self._current = _Connections(self._make())
            await connections.retire()


class _Connections:
    """Connections, and how many requests use them."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.under_way = 0
        self._retired = False

    async def leave(self) -> None:
        """End a request."""
        self.under_way -= 1
        await self._close_if_free()

    async def retire(self) -> None:
        """Take no further requests."""
        self._retired = True
        await self._close_if_free()

    async def _close_if_free(self) -> None:
        if self._retired and not self.under_way:
            await self.transport.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, whose end is the end of its request."""

    def __init__(self, body: httpx.AsyncByteStream, connections: _Connections) -> None:
        self._body = body
        self._connections: _Connections | None = connections

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            connections, self._connections = self._connections, None
            if connections is not None:
                await connections.leave()
