"""What mappings cost: the default mapping of Heap against calling the plugin's hook directly.

    python benchmarks/mapping.py

Each way decides the same messages, in turns within one run, and the median of the rounds counts:
`before` is the pipeline as it was before mappings existed (normalise, the `integrations` gate, the
hook, the checks of its answer); `default` adds the subscription and the mapping that overrides
nothing; `overrides` overrides three fields. Exits with 1 if `default` takes more than 1.1 times,
or `overrides` more than 2 times, what `before` takes.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

from destination_router.pipeline.connection import Connection
from destination_router.pipeline.decisions import Decision, decided
from destination_router.pipeline.integrations import refusal
from destination_router.pipeline.normalise import normalise
from destination_router.pipeline.subscriptions.subscriptions import SubscriptionSource
from destination_router.plugins.loading import load_plugin

ROUNDS = 41
MESSAGES = 1000
DEFAULT_AT_MOST = 1.1
OVERRIDES_AT_MOST = 2.0
OVERRIDES = {
    "identity": {"@path": "$.context.traits.email"},
    "event": {"@template": "{{event}} ({{properties.plan}})"},
    "properties": {
        "@merge": {"objects": [{"app": "web"}, {"@path": "$.properties"}], "direction": "right"}
    },
}


def messages() -> list[bytes]:
    """Make tracks as an SDK sends them."""
    return [
        json.dumps(
            {
                "type": "track",
                "messageId": f"message-{number:08}",
                "userId": f"user-{number % 50}",
                "anonymousId": f"anonymous-{number % 50}",
                "event": "Order Completed",
                "properties": {
                    "total": number / 4,
                    "plan": "pro",
                    "cart": {"items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]},
                    "tags": ["x", "y"],
                },
                "context": {
                    "traits": {"email": f"user-{number % 50}@example.com"},
                    "library": {"name": "analytics.js", "version": "3"},
                },
                "timestamp": "2026-11-22T10:00:00.000Z",
                "integrations": {"All": True},
            }
        ).encode()
        for number in range(MESSAGES)
    ]


def connection(*takes: SubscriptionSource) -> Connection:
    """Connect to Heap in its default dialect."""
    return Connection("heap", load_plugin("heap"), {"appId": "11"}, takes)


def before(one: Connection) -> Callable[[bytes], Decision]:
    """Decide as the pipeline did before it knew subscriptions and mappings."""
    names = ("heap", "Heap", "Heap.io")

    def decide(raw: bytes) -> Decision:
        normalised = normalise(raw)
        message = normalised.message
        if refusal(message, names) is not None or "on_track" not in one.plugin.capabilities:
            return decided(message, "filtered", notes=normalised.notes)
        mapped = one._ask(message, message, normalised.notes)  # noqa: SLF001 -- what it measures
        return one._decision(mapped)  # noqa: SLF001 -- as above

    return decide


def main() -> int:
    """Measure, tell, and say whether the costs are within bounds."""
    raw = messages()
    plain = connection()
    ways: dict[str, Callable[[bytes], Decision]] = {
        "before": before(plain),
        "default": plain.decide,
        "overrides": connection(SubscriptionSource(mapping={"track": OVERRIDES})).decide,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    for turn in range(ROUNDS):
        for name in sorted(ways, reverse=bool(turn % 2)):
            decide = ways[name]
            start = perf_counter()
            for one in raw:
                decide(one)
            times[name].append(perf_counter() - start)
        gc.collect()
    reference = times["before"]
    ratios: dict[str, float] = {}
    for name, own in times.items():
        ratios[name] = statistics.median(a / b for a, b in zip(own, reference, strict=True))
        microseconds = statistics.median(own) / MESSAGES * 1e6
        print(f"{name:10} {microseconds:7.1f} µs a message, {ratios[name]:.2f} times before")
    within = ratios["default"] <= DEFAULT_AT_MOST and ratios["overrides"] <= OVERRIDES_AT_MOST
    print("within bounds" if within else "out of bounds: 1.10 times and 2.00 times")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
