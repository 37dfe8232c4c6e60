"""The good connection: a sender that sends on and on, and a vendor that notes what arrives when."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator

import httpx
import msgspec

_ID = re.compile(rb'"(good-\d+)"')
_PAUSE = 0.1


class GoodSide:
    """Sends events through the gateway, at a steady pace whatever becomes of them, and notes times.

    Args:
        key: the gateway's write key.
    """

    def __init__(self, key: str) -> None:
        self.sent: dict[str, float] = {}
        """When each event was first sent."""
        self.accepted: set[str] = set()
        self.arrived: dict[str, float] = {}
        """When each event first arrived at the vendor."""
        self._key = key

    @contextlib.asynccontextmanager
    async def vendor(self) -> AsyncIterator[str]:
        """Serve the vendor; its URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def send(self, url: str, *, each: float, seconds: float) -> None:
        """Send an event after each so many seconds; returns when all of them are accepted."""
        limits = httpx.Limits(max_connections=20)
        end = time.monotonic() + seconds
        async with (
            httpx.AsyncClient(auth=(self._key, ""), timeout=5, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):
            while not self.sent or time.monotonic() < end:
                name = f"good-{len(self.sent)}"
                self.sent[name] = time.monotonic()
                group.create_task(self._post(client, url, name))
                await asyncio.sleep(each)

    async def all_arrived(self) -> None:
        """Wait until whatever was sent has arrived."""
        while self.sent.keys() - self.arrived.keys():
            await asyncio.sleep(_PAUSE / 10)

    def latencies(self) -> list[float]:
        """Tell how long each event took from its sender to the vendor; so far, if on its way."""
        now = time.monotonic()
        return sorted(self.arrived.get(name, now) - sent for name, sent in self.sent.items())

    async def _post(self, client: httpx.AsyncClient, url: str, name: str) -> None:
        event = {"type": "track", "messageId": name, "userId": name, "event": "Good"}
        body = msgspec.json.encode({"batch": [event]})
        while name not in self.accepted:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.post(f"{url}/v1/batch", content=body)
                if answer.status_code == httpx.codes.OK:
                    self.accepted.add(name)
                    return
            await asyncio.sleep(_PAUSE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                for name in _ID.findall(body):
                    self.arrived.setdefault(name.decode(), time.monotonic())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
