"""Heap's side of HTTP: each request is read, run through the faults and Heap, logged, answered."""

from collections.abc import Awaitable, Callable

import httpx
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from heap_destination.simulator.faults import Fault
from heap_destination.simulator.heap import Answer, SimulatedHeap


class ConnectionDropped(httpx.RemoteProtocolError):
    """An in-process client's view of a connection that was closed without an answer."""

    def __init__(self) -> None:
        super().__init__("Server disconnected without sending a response.")


class HeapServer:
    """The ASGI app behind every path that is Heap's."""

    def __init__(self, heap: SimulatedHeap, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._heap = heap
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; this is an ASGI app."""
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        method, path = scope["method"], scope["path"]
        fault = self._heap.faults.take(path, body)
        authorization = Headers(scope=scope).get("authorization", "")
        answer = await self._answer(method, path, body, authorization, fault)
        status = None if answer is None else answer.status
        self._heap.log(method, path, body, status, fault=fault is not None)
        if answer is None:
            await _drop_connection(receive)
        else:
            response = Response(answer.body, answer.status, answer.headers)
            await response(scope, receive, send)

    async def _answer(
        self, method: str, path: str, body: bytes, authorization: str, fault: Fault | None
    ) -> Answer | None:
        """What to tell the client, None to hang up on it."""
        if fault is None:
            return self._heap.answer(method, path, body, authorization)
        answer = self._heap.answer(method, path, body, authorization) if fault.after else None
        if fault.delay:
            await self._sleep(fault.delay)
        if fault.drop_connection:
            return None
        if fault.status is not None:
            return Answer(fault.status, fault.body, fault.headers)
        return answer or self._heap.answer(method, path, body, authorization)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None if the client went away before it ended."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _drop_connection(receive: Receive) -> None:
    """Close the client's connection without a byte of an answer.

    ASGI has no message for it: whatever an app raises, a server makes a 500 of it. In uvicorn
    `receive` is a method of the object that holds the connection's transport. Where there is no
    transport, as with httpx's ASGITransport, the client gets the error that httpx makes of such
    a connection.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionDropped
    transport.abort()
    # uvicorn sends a 500 for an app that returns before it has noticed the end.
    while (await receive())["type"] != "http.disconnect":
        pass
