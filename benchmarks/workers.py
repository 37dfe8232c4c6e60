"""What a second process that delivers is worth: a full log drained by one process, and by two.

    python benchmarks/workers.py --events 20000 --runs 5

The log holds events for two connections, each to an app of its own, and nothing else is at work but
a sink that reads a request and answers 200. So what is compared is delivery alone: on two cores, a
gateway, its senders and a vendor would share them with it. The two ways take turns. What counts is
the time from the first request at the sink to the last, so the start of the processes does not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from router import cpu, until
from throughput import event

from destination_router.eventlog.sqlite.log import SqliteEventLog

CONNECTIONS = ("one", "two")
_CONFIG = """
[eventlog]
url = "sqlite:///router.db"
[delivery]
origins = {{"https://heapanalytics.com" = "{sink}"}}
"""
_CONNECTION = """
[[connections]]
name = "{name}"
plugin = "heap"
settings = {{appId = "{app}"}}
"""
_UNLIMITED = "import heap_destination.plugin as plugin; del plugin.quotas\n"
"""As `sitecustomize`, it is in force in each process: Heap's limits would measure Heap."""

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_KEY = b'"idempotency_key"'


class Run(msgspec.Struct, frozen=True):
    """One way through the same events; times in seconds."""

    seconds: float
    cpu: float


class Sink(asyncio.Protocol):
    """Answers each request, and notes when the first and the last event came."""

    first = 0.0
    last = 0.0
    events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        self._transport = transport
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self._buffer += data
        while (at := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:at]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
            end = at + 4 + length
            if len(self._buffer) < end:
                return
            Sink.first = Sink.first or time.monotonic()
            Sink.last = time.monotonic()
            Sink.events += self._buffer.count(_KEY, at, end)
            del self._buffer[:end]
            assert isinstance(self._transport, asyncio.Transport)  # noqa: S101 -- a TCP one
            self._transport.write(_ANSWER)


async def sink(count: int) -> None:
    """Take so many events, print the time that it took, and wait to be ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while Sink.events < count:  # noqa: ASYNC110 -- nothing of it is in what is measured
        await asyncio.sleep(0.01)
    print(Sink.last - Sink.first, flush=True)
    await server.serve_forever()


async def fill(path: Path, count: int) -> None:
    """Make a log in which events wait for both connections."""
    log = SqliteEventLog(path, CONNECTIONS)
    chance = random.Random(count)  # noqa: S311
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        await log.append([msgspec.json.encode(event(number, chance)) for number in numbers])
    log.close()


def drain(count: int, *options: str) -> Run:
    """Let a router deliver a full log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(fill(folder / "router.db", count))
        (folder / "sitecustomize.py").write_text(_UNLIMITED)
        total = len(CONNECTIONS) * count
        waiting = [sys.executable, __file__, "--sink", str(total)]
        with subprocess.Popen(waiting, stdout=subprocess.PIPE, text=True) as vendor:  # noqa: S603
            assert vendor.stdout is not None  # noqa: S101 -- for the type checker
            try:
                url = f"http://127.0.0.1:{vendor.stdout.readline().strip()}"
                return _drained(folder, url, vendor, options)
            finally:
                vendor.kill()


def _drained(
    folder: Path, url: str, vendor: subprocess.Popen[str], options: tuple[str, ...]
) -> Run:
    connections = (_CONNECTION.format(name=n, app=a) for a, n in enumerate(CONNECTIONS, 11))
    (folder / "router.toml").write_text(_CONFIG.format(sink=url) + "".join(connections))
    command = [sys.executable, "-m", "destination_router_start", "run", "--workers-only"]
    with (
        (folder / "router.log").open("w") as said,
        subprocess.Popen(  # noqa: S603
            [*command, *options],
            cwd=folder,
            stderr=said,
            env={**os.environ, "PYTHONPATH": str(folder)},
        ) as process,
    ):
        try:
            assert vendor.stdout is not None  # noqa: S101 -- for the type checker
            seconds = float(vendor.stdout.readline())
            return Run(seconds, cpu(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            until(lambda: process.poll() is not None, 30)


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="for each connection")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        asyncio.run(sink(options.sink))
        return
    one, two = [], []
    for number in range(options.runs):
        one.append(drain(options.events))
        two.append(drain(options.events, "--workers", "2"))
        print(
            f"run {number + 1}: one process {one[-1].seconds:.1f} s, CPU {one[-1].cpu:.1f} s; "
            f"two workers {two[-1].seconds:.1f} s, CPU {two[-1].cpu:.1f} s; load "
            f"{os.getloadavg()[0]:.1f}",
            flush=True,
        )
    total = len(CONNECTIONS) * options.events
    for name, runs in (("one process", one), ("two workers", two)):
        seconds = median(run.seconds for run in runs)
        print(f"{name}: {total / seconds:.0f} events/s, CPU {median(r.cpu for r in runs):.1f} s")
    ratios = sorted(a.seconds / b.seconds for a, b in zip(one, two, strict=True))
    print(f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
