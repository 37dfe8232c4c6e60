"""How much of what Heap's documented limits allow gets through, and whether Heap ever says 429.

A backlog of events of Zipf-distributed users goes to a simulated Heap that enforces its limits, in
virtual time: `.venv/bin/python benchmarks/quotas.py`. The yardstick is the bulk limits: no sender
that sends bulks alone could end earlier than `shortest`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from itertools import accumulate
from math import ceil
from typing import NamedTuple

import httpx
import msgspec

from conformance import virtual_time
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.limits import EVENTS_PER_APP, EVENTS_PER_IDENTITY
from heap_destination.simulator import Fault, create_simulator

LATENCY = 0.05
USERS = 10_000
EVENTS = 200_000


class Result(NamedTuple):
    """What one simulation came to.

    Attributes:
        events: how many there were.
        stored: how many Heap holds in the end.
        hottest: how many the most active user had.
        shortest: the shortest time that the limits allow, in seconds.
        seconds: the time that it took.
        refused: how often Heap said 429.
        requests: how many requests it took.
        ordered: whether every user's events arrived in order.
        waiting: the most messages that were held in memory.
    """

    events: int
    stored: int
    hottest: int
    shortest: float
    seconds: float
    refused: int
    requests: int
    ordered: bool
    waiting: int

    @property
    def goodput(self) -> float:
        """The share of what the limits allow."""
        return self.shortest / self.seconds


def zipf(count: int, users: int, exponent: float, seed: int = 7) -> list[str]:
    """Draw whose event each is: the rank-th user has a share of 1/rank^exponent."""
    weights = list(accumulate(1 / rank**exponent for rank in range(1, users + 1)))
    chance = random.Random(seed)  # noqa: S311 -- reproducible, not secret
    return [f"user-{n}" for n in chance.choices(range(users), cum_weights=weights, k=count)]


def shortest(of_users: list[str]) -> float:
    """Say how long the limits make it take: each period's allowance can go at its very start."""
    hottest = max(Counter(of_users).values())
    app_limit, app_period = EVENTS_PER_APP
    user_limit, user_period = EVENTS_PER_IDENTITY
    return max(
        (ceil(len(of_users) / app_limit) - 1) * app_period,
        (ceil(hottest / user_limit) - 1) * user_period,
    )


async def simulate(of_users: list[str]) -> Result:
    """Deliver one event for each entry, in virtual time."""
    clock = asyncio.get_running_loop().time
    app = create_simulator(clock=clock, keep_requests=1)
    heap = app.state.heap
    heap.faults.add(Fault(delay=LATENCY, after=True))
    connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
    log = MemoryEventLog([connection.name])
    await log.append([_body(number, user) for number, user in enumerate(of_users)])
    settings = DeliverySettings()
    most_waiting = 0
    start = clock()
    async with Sender(connection, settings, transport=httpx.ASGITransport(app)) as sender:
        worker = Worker(
            connection, log, sender, dead_letters=DroppedDeadLetters(), settings=settings
        )
        running = asyncio.create_task(worker.run())
        done = asyncio.create_task(log.wait_until_done())
        while not done.done():
            most_waiting = max(most_waiting, worker.stats.waiting)
            await asyncio.wait([done], timeout=1.0)
        seconds = clock() - start
        await worker.stop(10.0)
        await running
    stats = heap.stats()
    last: dict[str, int] = {}
    ordered = True
    for row in heap.events():
        number = row.properties["n"]
        ordered = ordered and last.get(row.identity, -1) < number
        last[row.identity] = number
    return Result(
        events=len(of_users),
        stored=stats["events_stored"],
        hottest=max(Counter(of_users).values()),
        shortest=shortest(of_users),
        seconds=seconds,
        refused=stats["rate_limited"],
        requests=sum(sum(answers.values()) for answers in stats["requests"].values()),
        ordered=ordered,
        waiting=most_waiting,
    )


def _body(number: int, user: str) -> bytes:
    return msgspec.json.encode(
        {
            "type": "track",
            "messageId": f"message-{number}",
            "userId": user,
            "event": "Ordered",
            "properties": {"n": number},
        }
    )


def main() -> int:
    """Print a table; 1 if a promise is broken."""
    print(f"{EVENTS:,} events of {USERS:,} users, {LATENCY * 1000:.0f} ms per request, limits on")
    print(
        f"{'Zipf':>5} {'hottest':>8} {'stored':>8} {'shortest':>9} {'took':>9} {'goodput':>8} "
        f"{'429s':>5} {'requests':>9} {'ordered':>8} {'in memory':>10} {'real time':>10}"
    )
    kept = True
    for exponent in (0.8, 1.0, 1.2):
        started = time.perf_counter()
        result = virtual_time.run(simulate(zipf(EVENTS, USERS, exponent)))
        print(
            f"{exponent:>5} {result.hottest:>8,} {result.stored:>8,} {result.shortest:>7,.0f} s "
            f"{result.seconds:>7,.0f} s {result.goodput:>8.2%} {result.refused:>5} "
            f"{result.requests:>9,} {result.ordered!s:>8} {result.waiting:>10,} "
            f"{time.perf_counter() - started:>8,.0f} s",
            flush=True,
        )
        kept = kept and result.goodput >= 0.99 and not result.refused and result.ordered  # noqa: PLR2004
        kept = kept and result.stored == result.events
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
