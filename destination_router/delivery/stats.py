"""The counts of a worker, from which metrics are made. Plain numbers, no I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Literal

import msgspec

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Latency(msgspec.Struct):
    """A histogram of how long requests took, in seconds.

    Attributes:
        counts: how many took at most `LATENCY_BOUNDS[i]`, not cumulated; the last: longer.
        total: the sum of all, in seconds.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds


class DeliveryStats(msgspec.Struct):
    """The counts of one connection since its worker started. You may read them at any time.

    Attributes:
        received: messages read from the log.
        delivered: messages of which the vendor has every request.
        filtered: messages that the connection does not take, or the destination ignores.
        rejected: messages that became dead letters, by code.
        notes: what mappings changed or left out, by code.
        retried: messages that are to be sent again, each time.
        skipped: profile updates and ties left out because the vendor has exactly that already.
        requests: requests sent, by what came back: a status such as `200`, or `network`.
        last_failure: what went wrong the last time that no answer came; empty: never.
        quota_waits: how often messages of a user, or all, had to wait for a quota, by its name.
        in_flight: requests under way now.
        waiting: messages in memory now, those under way included.
        parked: of these, messages that wait for a time: their own retry or a quota.
        at_quotas: of these, messages that wait for a quota.
        awaited_quotas: by the quota that keeps messages back now, in how many seconds it may have
            room at the earliest; infinity: after the next answer.
        circuit: `closed` (all well), `open` (the vendor is taken for dead, nothing is sent) or
            `half_open` (one request asks whether it is back).
        paused: whether a person has said that nothing shall be sent.
        holds: by the code of each hold since the worker started, whether it lasts: the vendor
            takes nothing of the connection now, or not some of its messages.
        held_since: when the oldest hold that lasts began, Unix time in seconds; None: none does.
        held_detail: the vendor's words about the last hold.
        unanswered_since: when the first request went out since the vendor last took or rejected
            one, on the event loop's clock; None while it owes no answer.
        latency: of requests, from the first byte sent to the answer read.
    """

    received: int = 0
    delivered: int = 0
    filtered: int = 0
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    notes: Counter[str] = msgspec.field(default_factory=Counter)
    retried: int = 0
    skipped: int = 0
    requests: Counter[str] = msgspec.field(default_factory=Counter)
    last_failure: str = ""
    quota_waits: Counter[str] = msgspec.field(default_factory=Counter)
    in_flight: int = 0
    waiting: int = 0
    parked: int = 0
    at_quotas: int = 0
    awaited_quotas: dict[str, float] = msgspec.field(default_factory=dict)
    circuit: Literal["closed", "open", "half_open"] = "closed"
    paused: bool = False
    holds: dict[str, bool] = msgspec.field(default_factory=dict)
    held_since: float | None = None
    held_detail: str = ""
    unanswered_since: float | None = None
    latency: Latency = msgspec.field(default_factory=Latency)
