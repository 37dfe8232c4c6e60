"""What HIPAA mode costs: the CPU of a router per event with it, against without.

    python benchmarks/privacy.py [--rounds 41] [--events 10000] [--runs 5]

The same messages take both ways in turns, and the median of the ratios counts: once through a
running router, from the gateway's socket to the vendor's answer; once through a connection's
decision alone, wire JSON to requests, where all of the difference is. The messages are as the
browser SDK writes them, with a full context, of which everything that the lists name passes.
Exits with 1 if the ratio per event is above 2.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from router import WRITE_KEY, metrics, router, simulator, stored, until

from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.pipeline.connection import Connection, configured
from destination_router.plugins.loading import load_plugin

ROUNDS = 41
MESSAGES = 500
AT_MOST = 2.0
BATCH = 100
KEY = "BENCHMARK_MASKING_KEY"
os.environ.setdefault(KEY, "0123456789abcdef0123456789abcdef")
ALLOW = {
    "events": ["Order Completed"],
    "properties": ["total", "plan", "cart.items.sku", "cart.items.n", "url"],
    "traits": ["plan"],
    "context": ["locale", "library.name", "page.path", "page.url"],
}

HIPAA = f"""
[connections.privacy]
mode = "hipaa"
identifiers = ["traits.email"]
[connections.privacy.allow]
{"".join(f"{name} = {json.dumps(paths)}{chr(10)}" for name, paths in ALLOW.items())}
[privacy]
identifiers = ["traits.email"]
keys = {{ v1 = {{ env = "{KEY}" }} }}
[privacy.allow]
{"".join(f"{name} = {json.dumps(paths)}{chr(10)}" for name, paths in ALLOW.items())}
"""


class Result(msgspec.Struct, frozen=True):
    """What was measured: CPU seconds of each round, and how many messages a round has."""

    open: list[float]
    private: list[float]
    messages: int

    @property
    def ratio(self) -> float:
        """How many times the CPU HIPAA mode takes."""
        pairs = zip(self.private, self.open, strict=True)
        return statistics.median(private / open_ for private, open_ in pairs)


def messages(count: int = MESSAGES) -> list[bytes]:
    """Make tracks as the browser SDK writes them."""
    return [
        json.dumps(
            {
                "type": "track",
                "channel": "web",
                "messageId": f"message-{number:08}",
                "userId": f"user-{number % 50}@example.com",
                "anonymousId": f"anonymous-{number % 50}",
                "event": "Order Completed",
                "properties": {
                    "total": number / 4,
                    "plan": "pro",
                    "name": "Ada Lovelace",
                    "url": "https://shop.example/cart?email=ada@example.com",
                    "cart": {"items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]},
                    "tags": ["x", "y"],
                },
                "context": {
                    "app": {"name": "RudderLabs JavaScript SDK", "version": "3.31.6"},
                    "campaign": {"source": "mail", "medium": "email"},
                    "ip": "203.0.113.7",
                    "library": {"name": "RudderLabs JavaScript SDK", "version": "3.31.6"},
                    "locale": "en-GB",
                    "network": {},
                    "os": {"name": "", "version": ""},
                    "page": {
                        "path": "/cart",
                        "referrer": "https://search.example/?q=ada",
                        "search": "?email=ada@example.com",
                        "title": "Your cart",
                        "url": "https://shop.example/cart?email=ada@example.com",
                    },
                    "screen": {"density": 2, "height": 900, "width": 1440},
                    "sessionId": 1790000000000,
                    "timezone": "GMT+0000",
                    "traits": {"email": f"user-{number % 50}@example.com", "plan": "pro"},
                    "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
                },
                "originalTimestamp": "2026-11-22T10:00:00.000Z",
                "sentAt": "2026-11-22T10:00:01.000Z",
                "receivedAt": "2026-11-22T10:00:01.100Z",
                "request_ip": "203.0.113.7",
                "integrations": {"All": True},
            }
        ).encode()
        for number in range(count)
    ]


def connection(*, private: bool) -> Connection:
    """Connect to Heap, in HIPAA mode or not."""
    table = {"allow": ALLOW, "identifiers": ["traits.email"]}
    config = ConnectionConfig(
        name="heap",
        plugin="heap",
        settings={"appId": "11"},
        privacy={"mode": "hipaa", **table} if private else {},
        shared=SharedConfig(privacy={"keys": {"v1": {"env": KEY}}, **table}),
    )
    return configured(config, load_plugin("heap"))


def measure(rounds: int = ROUNDS, count: int = MESSAGES) -> Result:
    """Decide the same messages both ways, in turns."""
    raw = messages(count)
    ways = {"open": connection(private=False), "private": connection(private=True)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    try:
        for turn in range(rounds):
            for name in sorted(ways, reverse=bool(turn % 2)):
                decide = ways[name].decide
                start = process_time()
                for one in raw:
                    decide(one)
                times[name].append(process_time() - start)
            gc.collect()
    finally:
        gc.enable()
    return Result(times["open"], times["private"], count)


def measure_router(events: int) -> float:
    """Send events through a running router both ways; the ratio of the CPU it took."""
    raw = messages(events)
    bodies = [
        b'{"batch":[' + b",".join(raw[start : start + BATCH]) + b"]}"
        for start in range(0, events, BATCH)
    ]
    return router_cpu(bodies, events, HIPAA) / router_cpu(bodies, events)


def router_cpu(bodies: Sequence[bytes], events: int, more: str = "") -> float:
    """Tell the seconds of CPU that a fresh router takes to deliver events."""
    with (
        simulator() as heap,
        tempfile.TemporaryDirectory() as directory,
        router(Path(directory), heap, more) as client,
    ):
        before = metrics(client)["process_cpu_seconds_total"]
        for body in bodies:
            client.post("/v1/batch", content=body, auth=(WRITE_KEY, "")).raise_for_status()
        until(lambda: stored(heap) >= events)
        return metrics(client)["process_cpu_seconds_total"] - before


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, tell, and say whether the cost is within bounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of decisions (%(default)s)")
    parser.add_argument("--events", type=int, default=10_000, help="of each run (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of a router (%(default)s)")
    options = parser.parse_args(arguments)
    result = measure(options.rounds)
    for name, times in (("open", result.open), ("hipaa", result.private)):
        microseconds = sorted(time / result.messages * 1e6 for time in times)
        median = statistics.median(microseconds)
        spread = f"{microseconds[0]:.1f} to {microseconds[-1]:.1f}"
        print(f"{name:6} {median:6.1f} µs of CPU a decision ({spread})")
    print(f"ratio of decisions        {result.ratio:.2f}")
    ratios = sorted(measure_router(options.events) for _ in range(options.runs))
    ratio = statistics.median(ratios)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"ratio of a running router {ratio:.2f} ({spread}), at most {AT_MOST:.2f}")
    return 0 if ratio <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
