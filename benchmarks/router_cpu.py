"""What each way through the router costs, beside `orjson.loads` and `orjson.dumps` of its messages.

    python benchmarks/router_cpu.py [--runs 7] [--events 10000] [--only run] [--only latency]

Events are those of `transformer.py`: 1.4 KB each, 80 % track, 20 % identify. Each run measures
every way once, with the reference before and after it; told are the medians of the runs' ratios,
and the range of the middle half. CPU is that of all processes of the router, from the system's
books, in which a tick is 10 ms: the more events, the finer.

Others who use the processor meanwhile take its caches, and the router suffers more from that than
orjson does. So two more figures stand beside each ratio:

- `least` is the least CPU of all runs beside the least reference: the calmest that each had.
- `noise` is the reference after a run beside the one before it: the median, and the range of the
  middle half. On a machine with nothing else to do, they are 1.

Trust a ratio where that range is within 0.95 to 1.05, and `least` is within a tenth of it.
Otherwise, take more runs, or another hour.

Interpreters differ by how they were built. So the first line tells how long this one takes to make
some objects, beside the reference: Debian's Python 3.11 takes 2.7 times as long, one that was built
without `--enable-optimizations` 3.4. `sysconfig` is no help: at Debian's, it tells how another form
of that interpreter was built.

- `run`: posts of 100 events from 4 senders → gateway → log → a simulated Heap without limits.
- `transformer`: requests of 200 events over 4 connections; the reference is of the messages alone.
- `send`: a file, less what a file of ten messages takes: the start of Python.
- `proxy`: requests of 5 jobs, beside posts of the same bodies by a bare `httpx.AsyncClient`.
- `latency`: from the gateway's answer to the vendor's request, of single events, while 100 others
  a second come in; `linger` of it is waiting for company.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import orjson
import router
import transformer
import workloads

from destination_router.pipeline import connection

WAYS = ("run", "transformer", "send", "proxy", "latency")
AIMS = {
    "run": "12 from source, 9 compiled",
    "transformer": "3.6 from source, 2.1 compiled",
    "send": "7",
    "proxy": "1.5",
}
LINGER = 50.0
"""What `run` waits for more events, in milliseconds, unless it is told otherwise."""

_SENDERS = 4
_REQUESTS = 400
_SINGLES = 40
_FEW = 10
"""So many messages' file takes `send` what Python's start takes."""

_REFERENCE_ROUNDS = 3
_MAKINGS = 50
_LOOK_PAUSE = 0.25
_TELL_PEAK = (
    "import atexit, pathlib; atexit.register(lambda: print("
    "*[x for x in pathlib.Path('/proc/self/status').open() if 'VmHWM' in x]))"
)
"""The most memory that it held. `ru_maxrss` would also count what held this program, which made it,
before the other one began."""

Measured = Callable[[int], float]
"""Does the work with so many events; gives its CPU in milliseconds for a thousand of them."""


def reference(events: int) -> float:
    """CPU of orjson for the messages, in milliseconds per 1000 events."""
    wire = workloads.wire(0, min(events, 5000))
    begun = time.process_time()
    for _ in range(_REFERENCE_ROUNDS):
        for event in wire:
            orjson.dumps(orjson.loads(event))
    return (time.process_time() - begun) * 1e6 / len(wire) / _REFERENCE_ROUNDS


class _Made:
    def __init__(self, number: int) -> None:
        self.number = number


def making() -> float:
    """How long Python takes to make some objects, in times of orjson for a hundred messages.

    Loops and calls take the same time however an interpreter was built; this does not.
    """
    wire = workloads.wire(0, 100)
    begun = time.process_time()
    for number in range(1000):
        made = _Made(number)
        named = {f"{made.number}.{at}": at for at in range(3)}
        sorted(named.items())
    between = time.process_time()
    for event in wire:
        orjson.dumps(orjson.loads(event))
    return (between - begun) / (time.process_time() - between)


def interpreter() -> str:
    """Tell which interpreter it is, and how fast."""
    ratio = statistics.median(making() for _ in range(_MAKINGS))
    form = "source" if connection.__file__.endswith(".py") else "compiled"
    return (
        f"python {platform.python_version()} at {sys.executable}, {form}; "
        f"to make some objects takes {ratio:.1f} times the reference"
    )


@contextlib.contextmanager
def running(what: dict[str, str]) -> Iterator[Measured]:
    """A router that takes posts; what is told of it goes into `what`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        router.simulator() as heap,
        router.router_process(Path(folder), heap) as (pid, client),
    ):
        numbers = itertools.count()

        def work(events: int) -> float:
            first = next(numbers) * events
            posts = workloads.posts(first, events)
            before, begun = router.cpu(pid), time.perf_counter()
            post_all(str(client.base_url), posts)
            router.until(lambda: lag(client) == 0)
            seconds = time.perf_counter() - begun
            used = router.cpu(pid) - before
            what["run"] = f"{events / seconds:.0f} events/s, {router.resident(pid):.0f} MiB"
            return used * 1e6 / events

        yield work


def lag(client: httpx.Client) -> float:
    """Tell how many messages a router has not delivered; asked seldom, since that costs."""
    time.sleep(_LOOK_PAUSE)
    text = client.get("/metrics").text
    return float(text.partition('router_lag_messages{connection="heap"} ')[2].split()[0])


def post_all(url: str, posts: list[bytes]) -> None:
    """Post bodies from a few senders, side by side."""

    def sender(share: list[bytes]) -> None:
        with httpx.Client(base_url=url, auth=(router.WRITE_KEY, ""), timeout=60) as client:
            for body in share:
                client.post("/v1/batch", content=body).raise_for_status()

    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(sender, [posts[n::_SENDERS] for n in range(_SENDERS)]))


@contextlib.contextmanager
def transforming(what: dict[str, str]) -> Iterator[Measured]:
    """A transformer that takes requests of the compacted form."""
    server = transformer.Server(1)
    made = transformer.bodies("compacted")

    def work(events: int) -> float:
        before = server.cpu()
        seconds = transformer.load(server.port, made, events)
        what["transformer"] = f"{events / seconds:.0f} events/s, {server.resident():.0f} MiB"
        return (server.cpu() - before) * 1e6 / events

    try:
        yield work
    finally:
        server.stop()


@contextlib.contextmanager
def sending(what: dict[str, str]) -> Iterator[Measured]:
    """`send` of a file."""
    with tempfile.TemporaryDirectory() as folder, router.simulator() as heap:

        def used(count: int) -> float:
            path = Path(folder) / f"{count}.jsonl"
            path.write_bytes(b"\n".join(workloads.wire(0, count)) + b"\n")
            url = str(heap.base_url).rstrip("/")
            code = (
                f"{_TELL_PEAK}; import heap_destination.plugin as plugin; del plugin.quotas; "
                "from destination_router.commands.cli import main; main()"
            )
            command = [
                *(sys.executable, "-c", code, "send", "heap", str(path)),
                *("--set", "appId=11", "--origin", f"{workloads.ORIGIN}={url}"),
            ]
            # Otherwise a start may compile all modules, which takes as long as 10,000 events.
            kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
            environment = {**os.environ, **kept, "XDG_STATE_HOME": folder}
            with subprocess.Popen(  # noqa: S603
                command,
                env=environment,
                cwd=folder,  # else `-c` would find the working tree before a compiled wheel
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as process:
                assert process.stdout is not None  # noqa: S101
                told = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"send: {told.decode()}")
            if count > _FEW:
                peak = int(told.partition(b"VmHWM:")[2].split()[0])
                what["send"] = f"{peak / 1024:.0f} MiB"
            return usage.ru_utime + usage.ru_stime

        def work(events: int) -> float:
            start = used(_FEW)
            whole = used(events)
            return (whole - (start + used(_FEW)) / 2) * 1e6 / (events - _FEW)

        yield work


class Proxied:
    """Requests to the proxy, beside bare posts of what it sends, both one after the other."""

    def __init__(self, url: str, server: transformer.Server) -> None:
        self._url = url
        self._server = server
        self._bodies = workloads.proxied(_REQUESTS)
        self._bare = workloads.packed_bodies(workloads.connection(), _REQUESTS)

    def proxy(self) -> float:
        """CPU of the proxy, in milliseconds a request."""
        before = self._server.cpu()
        path = "/v1/destinations/heap/proxy"
        with httpx.Client(base_url=f"http://127.0.0.1:{self._server.port}", timeout=60) as client:
            for body in self._bodies:
                answer = client.post(path, content=body)
                if answer.text.count('"statusCode":200') != workloads.JOBS:
                    raise SystemExit(f"proxy: {answer.text}")
        return (self._server.cpu() - before) * 1000 / _REQUESTS

    def bare(self) -> float:
        """CPU of the bare posts, in milliseconds a request."""
        return asyncio.run(self._post_bare())

    async def _post_bare(self) -> float:
        async with httpx.AsyncClient(timeout=60) as client:
            headers = {"content-type": "application/json"}
            before = time.process_time()
            for path, body in self._bare:
                answer = await client.post(self._url + path, content=body, headers=headers)
                answer.raise_for_status()
            return (time.process_time() - before) * 1000 / _REQUESTS


@contextlib.contextmanager
def proxying() -> Iterator[Proxied]:
    """A proxy whose vendor is a simulated Heap."""
    with router.simulator() as heap, tempfile.TemporaryDirectory() as folder:
        url = str(heap.base_url).rstrip("/")
        config = Path(folder) / "router.toml"
        config.write_text(f'[delivery]\norigins = {{"{workloads.ORIGIN}" = "{url}"}}\n')
        server = transformer.Server(1, "--config", str(config))
        try:
            yield Proxied(url, server)
        finally:
            server.stop()


def latency() -> list[float]:
    """From the gateway's answer to the vendor's request, of single events, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_latency(Path(folder)))


async def _latency(folder: Path) -> list[float]:
    arrivals: dict[str, asyncio.Future[float]] = {}

    def seen(body: bytes) -> None:
        at = time.perf_counter()
        content = orjson.loads(body)
        for event in content.get("events", [content]):  # what goes out alone is no bulk
            if event.get("event") in arrivals:
                arrivals.pop(event["event"]).set_result(at)

    async with workloads.vendor(seen) as url:
        with router.router_process(folder, httpx.Client(base_url=url)) as (_, client):
            return await _singles(str(client.base_url), arrivals)


async def _singles(url: str, arrivals: dict[str, asyncio.Future[float]]) -> list[float]:
    took = []
    async with httpx.AsyncClient(base_url=url, auth=(router.WRITE_KEY, "")) as sender:
        background = asyncio.create_task(_background(url))
        for number in range(_SINGLES):
            await asyncio.sleep(0.083)  # no multiple of the background's
            name = f"Single {number}"
            event = {**transformer.message(number * 5 + 1), "event": name, "userId": f"s{number}"}
            arrived = arrivals[name] = asyncio.get_running_loop().create_future()
            (await sender.post("/v1/track", json=event)).raise_for_status()
            answered = time.perf_counter()
            took.append((await arrived - answered) * 1000)
        background.cancel()
    return took


async def _background(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, auth=(router.WRITE_KEY, "")) as sender:
        for number in itertools.count(100_000):
            await sender.post(
                "/v1/track", content=orjson.dumps(transformer.message(number * 5 + 1))
            )
            await asyncio.sleep(0.01)


class _Run(NamedTuple):
    """What a way took, and the reference before and after it."""

    ours: float
    before: float
    after: float

    @property
    def reference(self) -> float:
        """The two together."""
        return (self.before + self.after) / 2


_WAYS = {"run": running, "transformer": transforming, "send": sending}


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--events", type=int, default=10_000, help="of each way in each run")
    parser.add_argument("--only", action="append", choices=WAYS)
    options = parser.parse_args()
    ways = options.only or WAYS
    print(interpreter())
    print(f"medians of {options.runs} runs")
    print(
        f"{'way':12}{'CPU':>10}{'reference':>11}{'ratio':>7}  {'middle half':16}"
        f"{'least':>6}  {'noise':22}aim"
    )
    what: dict[str, str] = {}
    found: dict[str, list[_Run]] = {way: [] for way in ways if way != "latency"}
    with contextlib.ExitStack() as stack:
        measured = {way: stack.enter_context(_WAYS[way](what)) for way in found if way in _WAYS}
        proxied = stack.enter_context(proxying()) if "proxy" in found else None
        for work in measured.values():
            work(2000)  # until everything that is kept is kept
        for _ in range(options.runs):
            for way, work in measured.items():
                earlier = reference(options.events)
                ours = work(options.events)
                found[way].append(_Run(ours, earlier, reference(options.events)))
            if proxied is not None:
                earlier = proxied.bare()
                ours = proxied.proxy()
                found["proxy"].append(_Run(ours, earlier, proxied.bare()))
        for way, runs in found.items():
            _tell(way, runs, what.get(way, ""))
    if "latency" in ways:
        took = latency()
        middle, worst = statistics.median(took), statistics.quantiles(took, n=20)[-1]
        aim = f"{LINGER + 10:.0f} ms"
        print(f"latency     {middle:7.1f} ms, 95 % within {worst:.1f} ms; aim: {aim}")


def _tell(way: str, runs: list[_Run], more: str) -> None:
    ours = statistics.median(run.ours for run in runs)
    theirs = statistics.median(run.reference for run in runs)
    least = min(run.ours for run in runs) / min(run.reference for run in runs)
    low, ratio, high = _quartiles([run.ours / run.reference for run in runs])
    calm, noise, wild = _quartiles([run.after / run.before for run in runs])
    unit = "ms" if way != "proxy" else "ms each"
    spread = f"{low:.2f} to {high:.2f}"
    drift = f"{noise:.2f}, {calm:.2f} to {wild:.2f}"
    print(
        f"{way:12}{ours:10.2f}{theirs:11.2f}{ratio:7.2f}  {spread:16}{least:6.2f}  {drift:22}"
        f"{AIMS[way]}; {unit}; {more}",
        flush=True,
    )


def _quartiles(figures: list[float]) -> list[float]:
    return statistics.quantiles(figures, n=4) if len(figures) > 1 else figures * 3


if __name__ == "__main__":
    main()
