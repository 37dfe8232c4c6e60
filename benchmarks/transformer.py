"""What the transformer costs: CPU of the server per 1000 events, and its memory.

The measure is independent of the machine: beside it stands the CPU that `orjson.loads` and
`orjson.dumps` of the same bytes take. Four connections send requests of 200 events of about 1.4 KB
each: 80 % track with ten properties, a nested object and an array; 20 % identify. Processors change
their speed all the time, so there are many short runs, each with the reference before and after it
and a ratio of its own; the median of these is told, and the range of the middle half.

    python benchmarks/transformer.py [--events 8000] [--runs 25] [--workers 1] [--form compacted]
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

PER_REQUEST = 200
CONNECTIONS = 4
DISTINCT_BODIES = 8
_REFERENCE_ROUNDS = 4


def message(number: int) -> dict[str, Any]:
    """Make one event as a browser's SDK sends it, enriched by rudder-server."""
    user = f"user-{number % 5000}"
    clock = f"{number // 60_000 % 60:02d}:{number % 60_000 / 1000:06.3f}"
    common: dict[str, Any] = {
        "messageId": f"3f2b1c9e-8a4d-4c57-9b1e-{number:012d}",
        "anonymousId": f"a1e3d5c7-0000-4000-8000-{number % 5000:012d}",
        "userId": user,
        "channel": "web",
        "context": {
            "app": {"name": "Shop", "version": "4.12.0", "namespace": "com.example.shop"},
            "library": {"name": "RudderLabs JavaScript SDK", "version": "3.31.6"},
            "locale": "en-GB",
            "screen": {"density": 2, "width": 1512, "height": 982, "innerWidth": 1400},
            "timezone": "GMT+0100",
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36",
            "page": {
                "path": "/products/analytical-engine",
                "referrer": "https://search.example/?q=engine",
                "referring_domain": "search.example",
                "initial_referrer": "$direct",
                "search": "?utm_source=newsletter&utm_medium=email",
                "title": "Analytical Engine",
                "url": "https://shop.example/products/analytical-engine",
            },
            "sessionId": 1795341600000,
            "campaign": {"source": "newsletter", "medium": "email", "name": "autumn"},
        },
        "integrations": {"All": True},
        "originalTimestamp": f"2026-11-22T09:{clock}Z",
        "sentAt": "2026-11-22T09:59:59.900Z",
        "timestamp": f"2026-11-22T10:{clock}Z",
        "receivedAt": "2026-11-22T10:00:00.880Z",
        "request_ip": "192.0.2.7",
        "rudderId": "e4cab80e-2f0e-4fa2-87e0-3a4af182634c",
    }
    if number % 5 == 0:
        traits = {
            "email": f"{user}@example.com",
            "name": "Ada Lovelace",
            "plan": "pro",
            "seats": 12,
            "createdAt": "2024-02-29T12:00:00Z",
            "address": {"city": "London", "country": "GB"},
        }
        return {**common, "type": "identify", "traits": traits}
    properties = {
        "product_id": f"sku-{number % 997}",
        "name": "Analytical Engine",
        "price": 1999.5,
        "quantity": 1 + number % 3,
        "currency": "GBP",
        "category": "Machines",
        "position": number % 20,
        "coupon": "AUTUMN",
        "dimensions": {"width": 120, "height": 80},
        "tags": ["mechanical", "brass", "limited"],
    }
    return {**common, "type": "track", "event": "Product Added", "properties": properties}


def metadata(number: int) -> dict[str, Any]:
    """Make what rudder-server notes on an event."""
    return {
        "jobId": number,
        "workspaceId": "ws1",
        "rudderId": f"<<>>a<<>>user-{number % 5000}",
        "receivedAt": "2026-11-22T10:00:00.880Z",
        "messageId": f"3f2b1c9e-8a4d-4c57-9b1e-{number:012d}",
        "eventName": "Product Added",
        "eventType": "track",
        "sourceId": "src1",
        "originalSourceId": "src1",
        "sourceName": "shop",
        "sourceType": "Javascript",
        "sourceCategory": "",
        "destinationId": "d1",
        "destinationName": "heap",
        "destinationType": "HEAP",
        "destinationDefinitionId": "dd1",
    }


DESTINATION = {
    "ID": "d1",
    "Name": "heap",
    "DestinationDefinition": {"ID": "dd1", "Name": "HEAP", "DisplayName": "Heap.io", "Config": {}},
    "Config": {"appId": "1234567890"},
    "Enabled": True,
    "WorkspaceID": "ws1",
    "Transformations": [],
    "IsProcessorEnabled": True,
    "RevisionID": "r1",
}


def bodies(form: str) -> list[bytes]:
    """Make requests to send in turn."""
    numbers = itertools.count()
    made = []
    for _ in range(DISTINCT_BODIES):
        jobs = [
            {"message": message(n), "metadata": metadata(n)}
            for n in itertools.islice(numbers, PER_REQUEST)
        ]
        if form == "compacted":
            made.append(orjson.dumps({"input": jobs, "destinations": {"d1": DESTINATION}}))
        else:
            made.append(orjson.dumps([{**job, "destination": DESTINATION} for job in jobs]))
    return made


class Server:
    """The transformer as people start it, and what the system says it uses."""

    def __init__(self, workers: int, *more: str) -> None:
        command = [str(Path(sys.executable).with_name("destination-router")), "transformer"]
        options = ["--listen", "127.0.0.1:0", "--workers", str(workers), *more]
        self._process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)  # noqa: S603
        assert self._process.stderr is not None  # noqa: S101
        found = re.search(r":([0-9]+):", self._process.stderr.readline())
        assert found is not None  # noqa: S101
        self.port = int(found[1])
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def pids(self) -> list[int]:
        """List the server's processes: itself and what it started."""
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
        return [own, *map(int, children)]

    def cpu(self) -> float:
        """CPU used so far, in seconds."""
        return sum(_cpu(pid) for pid in self.pids())

    def resident(self) -> float:
        """The largest process's resident memory, in MiB."""
        return max(_resident(pid) for pid in self.pids())

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


def _cpu(pid: int) -> float:
    """CPU of all of a process's threads; the system counts it in nanoseconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def send(port: int, requests: Sequence[bytes]) -> None:
    """Send requests one after the other over one connection; every event must come back."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in requests:
        connection.request("POST", "/v0/destinations/heap", body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200 or content.count(b'"statusCode":200') < PER_REQUEST:  # noqa: PLR2004
            raise SystemExit(f"unexpected answer: {answer.status} {content[:300]!r}")
    connection.close()


def load(port: int, made: Sequence[bytes], count: int) -> float:
    """Send a number of events over all connections; gives the seconds that it took."""
    each = count // PER_REQUEST // CONNECTIONS
    plans = [[made[(at + n) % len(made)] for n in range(each)] for at in range(CONNECTIONS)]
    threads = [threading.Thread(target=send, args=(port, plan)) for plan in plans]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def reference(made: Sequence[bytes]) -> float:
    """CPU of orjson for the same bytes, in milliseconds per 1000 events."""
    begun = time.process_time()
    for _ in range(_REFERENCE_ROUNDS):
        for body in made:
            orjson.dumps(orjson.loads(body))
    events = _REFERENCE_ROUNDS * len(made) * PER_REQUEST
    return (time.process_time() - begun) * 1e6 / events


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8_000, help="in each run")
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--form", choices=["compacted", "plain"], default="compacted")
    options = parser.parse_args()
    made = bodies(options.form)
    sizes = [len(orjson.dumps(message(n))) for n in range(PER_REQUEST)]
    server = Server(options.workers)
    load(server.port, made, 8_000)  # until everything that is kept is kept
    ours, theirs, ratios, rates = [], [], [], []
    for _ in range(options.runs):
        earlier = reference(made)
        before = server.cpu()
        seconds = load(server.port, made, options.events)
        ours.append((server.cpu() - before) * 1e6 / options.events)
        theirs.append((earlier + reference(made)) / 2)
        ratios.append(ours[-1] / theirs[-1])
        rates.append(options.events / seconds)
    low, ratio, high = statistics.quantiles(ratios, n=4)
    print(f"python {platform.python_version()}, {options.form}, {options.workers} worker(s)")
    print(f"message            {statistics.mean(sizes):8.0f} bytes")
    print(
        f"request            {statistics.mean(map(len, made)) / 1000:8.0f} kB, {PER_REQUEST} events"
    )
    print(f"transformer        {statistics.median(ours):8.2f} ms CPU per 1000 events")
    print(f"orjson             {statistics.median(theirs):8.2f} ms CPU per 1000 events")
    print(f"ratio              {ratio:8.2f} ({low:.2f} to {high:.2f})")
    print(f"throughput         {statistics.median(rates):8.0f} events per second")
    sent = options.runs * options.events
    print(f"resident           {server.resident():8.1f} MiB after {sent} events")
    server.stop()


if __name__ == "__main__":
    main()
