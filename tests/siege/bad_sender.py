"""A sender as an enemy would run it: `python bad_sender.py half 8080 15 key`.

It attacks the gateway at a port of loopback for so many seconds, over and over again. `traffic` is
no attack: it is what a bad vendor gets.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import resource
import sys
import time
from collections.abc import Awaitable, Callable

Attack = Callable[["Target"], Awaitable[None]]

_BODY = 4_000_000
_MANY = 1100
_POSTS = 500


class Target:
    """The gateway.

    Args:
        port: of loopback.
        key: a write key of it, which an enemy may well have: browsers show it.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._login = base64.b64encode(f"{key}:".encode()).decode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    def head(self, length: int, *more: str) -> bytes:
        lines = [
            "POST /v1/batch HTTP/1.1",
            "Host: gateway",
            f"Authorization: Basic {self._login}",
            f"Content-Length: {length}",
            *more,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def post(self, body: bytes, *more: str, held: asyncio.Barrier | None = None) -> None:
        """Post a body; with a barrier, its last byte waits until all the others are out."""
        reader, writer = await self.connect()
        try:
            writer.write(self.head(len(body), "Connection: close", *more) + body[:-1])
            await writer.drain()
            if held is not None:
                with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
                    await asyncio.wait_for(held.wait(), 5)
            writer.write(body[-1:])
            await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()


async def traffic(target: Target) -> None:
    """Events for the bad vendor, a hundred a second."""
    events = ",".join(f'{{"type":"track","userId":"u{n}","event":"Bad"}}' for n in range(10))
    await target.post(f'{{"batch":[{events}]}}'.encode())
    await asyncio.sleep(0.1)


async def slow(target: Target) -> None:
    """Requests of which a byte comes each second."""
    await _together(target, 200, _drip)


async def _drip(target: Target) -> None:
    _, writer = await target.connect()
    for byte in target.head(100_000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def half(target: Target) -> None:
    """More requests at once than a process has descriptors, each without its end."""
    await _together(target, _MANY, _half)


async def _half(target: Target) -> None:
    reader, writer = await target.connect()
    writer.write(target.head(1000) + b'{"batch":[')
    await writer.drain()
    await reader.read()


async def floods(target: Target) -> None:
    """Headers without an end, on ten connections."""
    await _together(target, 10, _flood)


async def _flood(target: Target) -> None:
    _, writer = await target.connect()
    writer.write(b"POST /v1/batch HTTP/1.1\r\n")
    while True:
        writer.write(b"X-Padding: %b\r\n" % (b"x" * 4000) * 16)
        await writer.drain()


async def batches(target: Target) -> None:
    """As many events as a body holds, several times at once; some with what JSON does not have."""
    plain, odd = _batch(b'{"type":"x"},'), _batch(b'{"type":"x","v":NaN},')
    packed = gzip.compress(_batch(b"{},"))
    posts = [target.post(body) for body in (plain, odd)]
    posts += [target.post(packed, "Content-Encoding: gzip") for _ in range(6)]
    await asyncio.gather(*posts, return_exceptions=True)


def _batch(event: bytes) -> bytes:
    return b'{"batch":[' + event * (_BODY // len(event)) + b'{"type":"x"}]}'


async def bodies(target: Target) -> None:
    """Five hundred bodies of 4 MB, all but the last byte of each at the same time."""
    event = b'{"type":"track","userId":"u","event":"Filtered","properties":{"x":"%b"}}'
    body = b'{"batch":[' + event % (b"x" * 3000) + b" " * (_BODY - 3200) + b"]}"
    held = asyncio.Barrier(_POSTS)
    posts = (target.post(body, held=held) for _ in range(_POSTS))
    await asyncio.gather(*posts, return_exceptions=True)


async def _together(target: Target, count: int, attack: Attack) -> None:
    await asyncio.gather(*(attack(target) for _ in range(count)), return_exceptions=True)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack for attack in (traffic, slow, half, floods, batches, bodies)
}


async def attack(name: str, target: Target, seconds: float) -> None:
    """Attack again and again; what the gateway does about it is its affair."""
    end = time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while time.monotonic() < end:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await ATTACKS[name](target)
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(attack(sys.argv[1], Target(int(sys.argv[2]), sys.argv[4]), float(sys.argv[3])))
