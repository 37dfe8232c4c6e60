"""Heap's rate limits as sliding windows: whether one more valid request is within all of them.

Heap does not say how it cuts its periods. A sliding window is the strictest reading: who keeps
within it keeps within any fixed one. In the same spirit the 30 requests of an identity are one
budget for track and add_user_properties together, and an anonymous `user_id` has the budgets of
an identity of its own. Requests that are refused, for their body or for their rate, cost nothing.
"""

from collections import Counter, deque
from collections.abc import Hashable, Mapping

from heap_destination.simulator import limits
from heap_destination.simulator.limits import Rate
from heap_destination.simulator.records import Event, Ingestion


class SlidingWindow:
    """Counts per key over the last `rate.period` seconds.

    Holds one entry per recorded request and one number per active key, and forgets both when
    they leave the window, so time and memory follow the traffic of one period.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._entries: deque[tuple[float, Mapping[Hashable, int]]] = deque()
        self._used: dict[Hashable, int] = {}

    def admits(self, counts: Mapping[Hashable, int], now: float) -> bool:
        """Whether `counts` more per key at `now` (seconds) keep every key within the rate."""
        self._forget(now)
        used = self._used
        return all(used.get(key, 0) + count <= self._rate.limit for key, count in counts.items())

    def record(self, counts: Mapping[Hashable, int], now: float) -> None:
        """Count `counts` at `now`."""
        self._entries.append((now, counts))
        for key, count in counts.items():
            self._used[key] = self._used.get(key, 0) + count

    def _forget(self, now: float) -> None:
        while self._entries and now - self._entries[0][0] >= self._rate.period:
            _, counts = self._entries.popleft()
            for key, count in counts.items():
                left = self._used[key] - count
                if left:
                    self._used[key] = left
                else:
                    del self._used[key]


class RateLimits:
    """All of Heap's documented rate limits, for every app_id."""

    def __init__(self) -> None:
        self._requests_per_identity = SlidingWindow(limits.REQUESTS_PER_IDENTITY)
        self._events_per_identity = SlidingWindow(limits.EVENTS_PER_IDENTITY)
        self._events_per_app = SlidingWindow(limits.EVENTS_PER_APP)

    def admit(self, ingestion: Ingestion, now: float) -> bool:
        """Count the request if every limit that applies has room for all of it, else nothing."""
        app_id = ingestion.app_id
        windows: list[tuple[SlidingWindow, Mapping[Hashable, int]]] = []
        if ingestion.budget == "requests":
            keys = [_event_key(app_id, event) for event in ingestion.events]
            keys += [_identity_key(app_id, user.identity) for user in ingestion.users]
            windows = [(self._requests_per_identity, Counter(keys))]
        elif ingestion.budget == "events":
            keys = [_event_key(app_id, event) for event in ingestion.events]
            windows = [
                (self._events_per_app, {app_id: len(ingestion.events)}),
                (self._events_per_identity, Counter(keys)),
            ]
        if not all(window.admits(counts, now) for window, counts in windows):
            return False
        for window, counts in windows:
            window.record(counts, now)
        return True


def _event_key(app_id: str, event: Event) -> Hashable:
    if event.identity is None:
        return app_id, "user_id", event.user_id
    return _identity_key(app_id, event.identity)


def _identity_key(app_id: str, identity: str) -> Hashable:
    return app_id, "identity", identity
