"""Amplitude's rate limits: who sends too much is paused, and every event of theirs is refused."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping


class Pace:
    """How much each key sent in the last seconds, and who is paused.

    Args:
        per_second: how much a key may send, on average.
        averaged: over how many seconds.
        paused: for how many seconds a key is refused that sent more.
    """

    def __init__(self, per_second: float, averaged: float, paused: float) -> None:
        self.per_second = per_second
        self._averaged = averaged
        self._paused = paused
        self._sent: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._until: dict[str, float] = {}

    def too_fast(self, counts: Mapping[str, int], now: float) -> dict[str, float]:
        """Name the keys that may not send so much more now, each with its events per second."""
        found = {}
        for key, count in counts.items():
            sent = self._sent[key]
            while sent and now - sent[0][0] >= self._averaged:
                sent.popleft()
            total = count + sum(amount for _, amount in sent)
            if total > self.per_second * self._averaged:
                self._until[key] = now + self._paused
            if self._until.get(key, 0.0) > now:
                found[key] = total / self._averaged
        return found

    def count(self, counts: Mapping[str, int], now: float) -> None:
        """Note what was taken."""
        for key, amount in Counter(counts).items():
            self._sent[key].append((now, amount))
