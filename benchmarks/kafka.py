"""The event log on Kafka beside the one in a file: appending, reading, and going on after a kill.

    python benchmarks/kafka.py --events 100000 --brokers 3

Three brokers on loopback (scripts/kafka) take events of 1.4 KB in requests of 20 from 16 senders at
once; the same goes into SQLite in the same run, and the ratios between them travel to other
machines. CPU is this process's alone: what a gateway pays, and not what brokers do. What of it the
client library's own threads use is the floor: no Python runs there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from kafka_cluster import cluster

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.opening import make_topics, open_log
from destination_router.eventlog.router_log import RouterLog

SENDERS = 16
REQUEST = 20
SIZE = 1400


def bodies(first: int, count: int) -> list[bytes]:
    """Make events of 1.4 KB."""
    found = []
    for number in range(first, first + count):
        message = {
            "type": "track",
            "messageId": f"m{number}",
            "userId": f"user-{number % 5000}",
            "event": "Order Completed",
            "properties": {"filling": ""},
        }
        message["properties"] = {"filling": "x" * (SIZE - len(msgspec.json.encode(message)))}
        found.append(msgspec.json.encode(message))
    return found


class Appended(msgspec.Struct, frozen=True):
    """What appending took.

    Attributes:
        seconds: in all.
        cpu: seconds of this process's CPU.
        library: seconds of it in the threads of Kafka's client library.
        waited: seconds of each request.
    """

    seconds: float
    cpu: float
    library: float
    waited: list[float]


def library_cpu() -> float:
    """Tell how many seconds of CPU the client library's threads have used."""
    ticks = 0
    for thread in Path("/proc/self/task").iterdir():
        try:
            name, _, rest = (thread / "stat").read_text().partition("(")[2].rpartition(")")
        except FileNotFoundError:  # it has just ended
            continue
        if name.startswith("rdk:"):
            ticks += sum(map(int, rest.split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def appended(log: RouterLog, events: int, first: int = 0) -> Appended:
    """Append events."""
    requests = [bodies(number, REQUEST) for number in range(first, first + events, REQUEST)]
    requests.reverse()
    waited: list[float] = []

    async def sender() -> None:
        while requests:
            request = requests.pop()
            begun = time.perf_counter()
            await log.append(request, "web")
            waited.append(time.perf_counter() - begun)

    begun, cpu, library = time.perf_counter(), time.process_time(), library_cpu()
    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return Appended(
        time.perf_counter() - begun, time.process_time() - cpu, library_cpu() - library, waited
    )


async def first_read(config: EventLogConfig, name: str) -> float:
    """Open a log, and read from it; seconds."""
    begun = time.perf_counter()
    with closing(open_log(config, [name], {}, request_seconds=1.0)) as log:
        await log.read(name, -1, 100)
        return time.perf_counter() - begun


READER = """
import asyncio, sys, msgspec
from contextlib import closing
from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.opening import open_log

async def main(config, name, count):
    with closing(open_log(config, [name], {}, request_seconds=1.0)) as log:
        after = -1
        while count > 0:
            events = await log.read(name, after, 1000)
            after = events[-1].offset
            count -= len(events)
            await log.commit(name, [event.offset for event in events])

config = msgspec.json.decode(sys.argv[1], type=EventLogConfig)
asyncio.run(main(config, sys.argv[2], int(sys.argv[3])))
"""


def read_by(config: EventLogConfig, names: list[str], events: int) -> float:
    """Have a process for each connection read and commit everything; seconds."""
    begun = time.perf_counter()
    told = msgspec.json.encode(config).decode()
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, told, name, str(events)])  # noqa: S603
        for name in names
    ]
    for reader in readers:
        if reader.wait():
            sys.exit("a reader failed")
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--brokers", type=int, default=3)
    options = parser.parse_args()
    with cluster(options.brokers) as brokers, tempfile.TemporaryDirectory() as folder:
        file = EventLogConfig(url=f"sqlite:///{folder}/router.db")
        kafka = EventLogConfig(
            url=f"kafka://{brokers.bootstrap}/benchmark",
            kafka=KafkaConfig(replication=options.brokers),
            new_connections="start",
        )
        make_topics(kafka, make=True)
        rates = {
            name: asyncio.run(_measured(config, options.events))
            for name, config in (("SQLite", file), ("Kafka", kafka))
        }
        _print_appending(rates)
        print(f"\n{'going on after a time off':44}{'pending':>10}{'first, s':>10}{'us each':>10}")
        for number, share in enumerate((1, 2, 4)):
            pending = options.events // 4 * share
            behind = msgspec.structs.replace(
                kafka, url=kafka.url.replace("/benchmark", f"/behind{number}")
            )
            make_topics(behind, make=True)
            asyncio.run(_filled(behind, pending))
            first = asyncio.run(first_read(behind, "first"))
            each = 1e6 * read_by(behind, ["all"], pending) / pending
            print(f"{'':44}{pending:10}{first:10.2f}{each:10.1f}")
        one = read_by(kafka, ["one"], options.events)
        two = read_by(kafka, ["two", "three"], options.events)
        print(f"\n{'one connection on one process, events/s':44}{options.events / one:10.0f}")
        print(f"{'two connections on two processes, events/s':44}{2 * options.events / two:10.0f}")
        print(f"{'ratio':44}{2 * one / two:10.2f}")


async def _filled(config: EventLogConfig, events: int) -> None:
    with closing(open_log(config, ["first", "all"], {}, delivers=False)) as log:
        await appended(log, events)


async def _measured(config: EventLogConfig, events: int) -> Appended:
    with closing(open_log(config, ["first"], {}, delivers=False)) as log:
        await appended(log, 20 * REQUEST)
        return await appended(log, events)


def _print_appending(rates: dict[str, Appended]) -> None:
    rows: list[tuple[str, Callable[[Appended], float]]] = [
        ("events/s", lambda each: len(each.waited) * REQUEST / each.seconds),
        ("CPU of the client an event, us", lambda each: _each(each, each.cpu)),
        ("of it in the client library's threads", lambda each: _each(each, each.library)),
        ("a request, p50, ms", lambda each: 1000 * median(each.waited)),
        ("a request, p99, ms", lambda each: 1000 * quantiles(each.waited, n=100)[98]),
    ]
    print(f"{'':44}{'SQLite':>10}{'Kafka':>10}{'ratio':>10}")
    for name, value in rows:
        first, second = value(rates["SQLite"]), value(rates["Kafka"])
        ratio = f"{second / first:10.2f}" if first else ""
        print(f"{name:44}{first:10.1f}{second:10.1f}{ratio}")


def _each(of: Appended, seconds: float) -> float:
    return 1e6 * seconds / len(of.waited) / REQUEST


if __name__ == "__main__":
    main()
