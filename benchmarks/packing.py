"""How many requests a window of messages takes, and what packing costs.

`.venv/bin/python benchmarks/packing.py` packs windows of 1000 messages of every kind, beside a
reference measured in the same run: the same requests, decoded and encoded by msgspec alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from itertools import accumulate

import msgspec

from destination_router.contract.records import HttpRequest
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

WINDOW = 1000
ROUNDS = 15


def window(users: list[str]) -> list[bytes]:
    """Write a message for each user: identify, track, anonymous track and group, in turn."""
    chance = random.Random(3)  # noqa: S311 -- reproducible, not secret
    return [_message(chance.choice("itag"), number, user) for number, user in enumerate(users)]


def _message(kind: str, number: int, user: str) -> bytes:
    message: dict[str, object] = {"messageId": f"message-{number}", "userId": user}
    match kind:
        case "i":
            message |= {"type": "identify", "traits": {"plan": f"p{number}", "seen": number}}
        case "t":
            message |= {"type": "track", "event": "Ordered", "properties": {"total": number}}
        case "a":
            message |= {"type": "track", "event": "Seen", "anonymousId": f"visitor-{user}"}
            del message["userId"]
        case "g":
            message |= {"type": "group", "groupId": f"account-{user}", "traits": {"n": number}}
    return msgspec.json.encode(message)


def zipf(count: int) -> list[str]:
    """Draw whose message each is: the rank-th user has a share of 1/rank."""
    weights = list(accumulate(1 / rank for rank in range(1, 10_001)))
    chance = random.Random(5)  # noqa: S311 -- reproducible, not secret
    return [f"user-{n}" for n in chance.choices(range(10_000), cum_weights=weights, k=count)]


def milliseconds(action: Callable[[], object]) -> float:
    """Take the median time of an action."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def main() -> None:
    """Print a table."""
    connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
    mixes = {
        "800 evenly active users": [f"user-{n % 800}" for n in range(WINDOW)],
        "Zipf-distributed users": zipf(WINDOW),
        "one user": ["the one user"] * WINDOW,
    }
    print(
        f"{'users':<26} {'messages':>8} {'singles':>8} {'requests':>8} {'pack':>9} {'msgspec':>9}"
    )
    for name, users in mixes.items():
        decisions = [connection.decide(raw) for raw in window(users)]
        singles: list[HttpRequest] = [r for decision in decisions for r in decision.requests]
        packed = connection.pack(singles)
        wire = [msgspec.json.encode(single.json) for single in singles]
        pack = milliseconds(lambda singles=singles: connection.pack(singles))
        reference = milliseconds(
            lambda wire=wire: [msgspec.json.encode(msgspec.json.decode(raw)) for raw in wire]
        )
        print(
            f"{name:<26} {len(users):>8} {len(singles):>8} {len(packed):>8} "
            f"{pack:>6.2f} ms {reference:>6.2f} ms"
        )


if __name__ == "__main__":
    main()
