"""Connections to a vendor, when requests are cancelled at any moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import httpx
from waiting import PATIENCE

from destination_router.delivery.http_transport import RenewedTransport

MOST = 2
STEPS = 60
"""A request to a server in the same loop takes fewer turns of the loop."""


@contextlib.asynccontextmanager
async def server(open_sockets: set[asyncio.StreamWriter]) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        open_sockets.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        open_sockets.discard(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        for writer in list(open_sockets):
            writer.close()
        await asyncio.gather(*tasks)


def connections() -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=MOST, max_keepalive_connections=MOST)
    return httpx.AsyncHTTPTransport(limits=limits)


async def cancelled_at_every_step(client: httpx.AsyncClient, url: str) -> None:
    """Cancel a request after the first turn of the loop, another after the second, and so on."""
    for steps in range(STEPS):
        task = asyncio.create_task(client.get(url))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def answers(client: httpx.AsyncClient, url: str) -> list[int]:
    async def ask() -> int:
        try:
            return (await client.get(url, timeout=PATIENCE)).status_code
        except httpx.TransportError:
            return 0

    return await asyncio.gather(*(ask() for _ in range(3 * MOST)))


def test_no_cancelled_request_uses_up_a_connection() -> None:
    """Those that follow are answered, over no more sockets than they may have."""

    async def run() -> None:
        sockets: set[asyncio.StreamWriter] = set()
        transport = RenewedTransport(connections)
        async with server(sockets) as url:
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                await cancelled_at_every_step(client, url)
                assert await answers(client, url) == [200] * 3 * MOST
                for _ in range(STEPS):
                    await asyncio.sleep(0)
                assert len(sockets) <= MOST
            for _ in range(STEPS):
                await asyncio.sleep(0)
            assert not sockets

    asyncio.run(run())


def test_a_request_under_way_ends_where_it_began() -> None:
    """One that is cancelled takes no other with it, though their connections take no more."""

    async def run() -> None:
        transport = RenewedTransport(connections)
        async with (
            server(set()) as url,
            httpx.AsyncClient(transport=transport, trust_env=False) as client,
        ):
            other = await client.send(client.build_request("GET", url), stream=True)
            cancelled = asyncio.create_task(client.get(url))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            assert await answers(client, url) == [200] * 3 * MOST
            assert await other.aread() == b"ok"
            await other.aclose()

    asyncio.run(run())
