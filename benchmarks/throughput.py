"""From the gateway's socket to the vendor's answer: rate, CPU, requests, memory and recovery.

    python benchmarks/throughput.py --events 20000 --runs 5
    python benchmarks/throughput.py --only memory --memory-events 1000000
    python benchmarks/throughput.py --only memory --console live      # with somebody at Live
    python benchmarks/throughput.py --only recovery --pending 1000000

Every run measures two references on the same machine in the same minute: the same bytes through
msgspec's decoder and encoder, and the same request bodies posted by a bare httpx loop. The ratios
to them travel between machines; the numbers themselves do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from router import WRITE_KEY, metrics, router, simulator, stored, until

from destination_router.eventlog.sqlite.log import SqliteEventLog

BATCH = 100
PASSWORD = "benchmark-password"  # noqa: S105 -- of a router that lives for a minute
SENDERS = 4


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run over the same events; times in seconds."""

    router_seconds: float
    accepted_seconds: float
    router_cpu: float
    requests: int
    msgspec_cpu: float
    httpx_seconds: float


def event(number: int, chance: random.Random) -> dict[str, object]:
    """Make an event as a server-side SDK sends it, of about 450 bytes."""
    return {
        "type": "track",
        "messageId": f"benchmark-{number:08}",
        "userId": f"user-{int(chance.paretovariate(0.9)) % 20_000}",
        "event": ("Product Viewed", "Product Added", "Order Completed")[number % 3],
        "properties": {
            "sku": f"sku-{number % 997}",
            "price": number % 100 + 0.5,
            "currency": "EUR",
            "categories": ["shoes", "running"],
            "shop": {"name": "Main Street", "open": True},
        },
        "context": {
            "library": {"name": "analytics-python", "version": "2.1.4"},
            "traits": {"plan": "pro", "seats": number % 7},
        },
        "timestamp": "2026-11-22T10:00:00.000Z",
        "channel": "server",
    }


def bodies(first: int, count: int) -> list[bytes]:
    """Make the gateway's request bodies."""
    chance = random.Random(first)  # noqa: S311
    return [
        msgspec.json.encode(
            {"batch": [event(n, chance) for n in range(start, min(start + BATCH, first + count))]}
        )
        for start in range(first, first + count, BATCH)
    ]


def post_all(url: str, batches: list[bytes]) -> None:
    """Post bodies as a few senders do, side by side."""

    def sender(share: list[bytes]) -> None:
        with httpx.Client(base_url=url, auth=(WRITE_KEY, ""), timeout=60) as client:
            for body in share:
                client.post("/v1/batch", content=body).raise_for_status()

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(sender, [batches[n::SENDERS] for n in range(SENDERS)]))


def measure(events: int) -> Run:
    """Send events through a fresh router, and do the references."""
    batches = bodies(0, events)
    with simulator() as heap, tempfile.TemporaryDirectory() as directory:
        with router(Path(directory), heap) as client:
            cpu = metrics(client)["process_cpu_seconds_total"]
            begun = time.perf_counter()
            post_all(str(client.base_url), batches)
            accepted = time.perf_counter() - begun
            until(lambda: stored(heap) >= events)
            taken = time.perf_counter() - begun
            cpu = metrics(client)["process_cpu_seconds_total"] - cpu
        sent = heap.get("/_simulator/requests").json()["requests"]
    posted = [(request["path"], msgspec.json.encode(request["body"])) for request in sent]
    return Run(
        router_seconds=taken,
        accepted_seconds=accepted,
        router_cpu=cpu,
        requests=len(sent),
        msgspec_cpu=decode_and_encode(batches),
        httpx_seconds=post_bare(posted),
    )


def decode_and_encode(batches: list[bytes]) -> float:
    """Tell the CPU that it takes to read and write the same bytes."""
    begun = time.process_time()
    for body in batches:
        msgspec.json.encode(msgspec.json.decode(body))
    return time.process_time() - begun


def post_bare(posted: list[tuple[str, bytes]]) -> float:
    """Tell how long a bare loop takes to post the same bodies to the same kind of vendor."""
    with simulator() as heap:
        begun = time.perf_counter()
        for path, body in posted:
            headers = {"content-type": "application/json"}
            heap.post(path, content=body, headers=headers).raise_for_status()
        return time.perf_counter() - begun


def throughput(events: int, runs: int) -> None:
    """Print the medians of several runs, and their ratios to the references."""
    found = [measure(events) for _ in range(runs)]
    thousands = events / 1000
    rows = [
        ("events per second, socket to vendor's answer", lambda r: events / r.router_seconds),
        ("events per second, accepted and on disk", lambda r: events / r.accepted_seconds),
        ("CPU per 1000 events, ms", lambda r: r.router_cpu / thousands * 1000),
        ("requests per 1000 events", lambda r: r.requests / thousands),
        ("msgspec decode + encode: CPU per 1000, ms", lambda r: r.msgspec_cpu / thousands * 1000),
        ("bare httpx loop: events per second", lambda r: events / r.httpx_seconds),
        ("ratio: CPU to msgspec", lambda r: r.router_cpu / r.msgspec_cpu),
        ("ratio: time to bare httpx loop", lambda r: r.router_seconds / r.httpx_seconds),
    ]
    print(f"{runs} runs of {events} events: median (smallest to largest)")
    for name, value in rows:
        values = sorted(map(value, found))
        print(f"{name:48}{median(values):10.1f}  ({values[0]:.1f} to {values[-1]:.1f})")


@contextlib.contextmanager
def looked_at(url: str) -> Iterator[None]:
    """Read the console's Live as a browser does."""
    over = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=url, headers={"sec-fetch-site": "same-origin"}) as browser:
            signed_in = browser.post("/login", data={"password": PASSWORD})
            cookie = {"cookie": signed_in.headers["set-cookie"].partition(";")[0]}
            with browser.stream("GET", "/live/stream", headers=cookie, timeout=None) as stream:
                for _ in stream.iter_raw():
                    if over.is_set():
                        return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield
    over.set()


def memory(events: int, console: str) -> None:
    """Print a router's memory after each tenth of many events."""
    print(f"resident memory over {events} events, MB; console: {console}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    table = f'[console]\nlisten = "{address}"\npassword = "{PASSWORD}"\n'
    with (
        simulator() as heap,
        tempfile.TemporaryDirectory() as directory,
        router(Path(directory), heap, "" if console == "off" else table) as client,
        looked_at(f"http://{address}") if console == "live" else contextlib.nullcontext(),
    ):
        share = events // 10
        for tenth in range(10):
            for first in range(tenth * share, (tenth + 1) * share, 10_000):
                count = min(10_000, (tenth + 1) * share - first)
                post_all(str(client.base_url), bodies(first, count))
            until(lambda done=(tenth + 1) * share: stored(heap) >= done)
            seen = metrics(client)
            megabytes = seen["process_resident_memory_bytes"] / 2**20
            log = seen["router_log_bytes"] / 2**20
            kept = sum(each.stat().st_size for each in Path(directory).glob("*-console*")) / 2**20
            done = (tenth + 1) * share
            print(f"{done:12}{megabytes:10.0f}   log {log:.0f}   traces {kept:.1f}", flush=True)


def recovery(pending: int) -> None:
    """Print how long a killed router's successor takes to its first delivery."""
    print("seconds from the start of the process")
    for count in (1000, pending):
        with simulator() as heap, tempfile.TemporaryDirectory() as directory:
            asyncio.run(_fill(Path(directory) / "router.db", count))
            begun = time.perf_counter()
            with router(Path(directory), heap) as client:
                ready = time.perf_counter() - begun
                until(lambda: stored(heap))
                first = time.perf_counter() - begun
                megabytes = metrics(client)["process_resident_memory_bytes"] / 2**20
            print(
                f"{count:10} pending: ready {ready:.2f}, first delivery {first:.2f}, "
                f"{megabytes:.0f} MB",
                flush=True,
            )


async def _fill(path: Path, count: int) -> None:
    log = SqliteEventLog(path, ["heap"])
    chance = random.Random(1)  # noqa: S311
    for first in range(0, count, 1000):
        await log.append([msgspec.json.encode(event(first + n, chance)) for n in range(1000)])
    log.close()


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000, help="of each run (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--memory-events", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--pending", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--console", choices=["off", "on", "live"], default="off")
    parser.add_argument("--only", choices=["throughput", "memory", "recovery"])
    options = parser.parse_args()
    if options.only in {None, "throughput"}:
        throughput(options.events, options.runs)
    if options.only in {None, "recovery"}:
        recovery(options.pending)
    if options.only in {None, "memory"}:
        memory(options.memory_events, options.console)


if __name__ == "__main__":
    main()
