"""The room that events take on Kafka: the brokers' count times the mean size seen here."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.reading import Stretch
from destination_router.eventlog.sqlite.retention import Retention

_CROWDED = 0.8
_LOOK_SECONDS = 5.0
_SAMPLED = 200
_RECORD_BYTES = 70
"""The rough bytes that Kafka keeps for a record beside its key and value."""


class Room:
    """The room that events take, and whether there is more.

    Args:
        groups: counts them.
        stretch: reads some, to measure them.
        partitions: the partitions of the topic of events.
        retention: how much room they may take.
    """

    def __init__(
        self, groups: Groups, stretch: Stretch, partitions: Sequence[int], retention: Retention
    ) -> None:
        self._groups = groups
        self._stretch = stretch
        self._partitions = partitions
        self._retention = retention
        self._mean = 0.0
        self._there = 0.0
        self._since = 0.0
        self._looked_at = float("-inf")
        self._sample()
        self._look()

    def refuse_if_full(self) -> None:
        """Check that there is room for new events.

        Raises:
            LogUnavailableError: there is none.
        """
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            threading.Thread(target=self._look_if_possible, daemon=True).start()
        used = self._there + self._since
        if used >= self._retention.max_bytes:
            raise LogUnavailableError(
                f"events take about {used:.0f} bytes, max_size is {self._retention.max_bytes}"
            )

    def note(self, bodies: Sequence[bytes]) -> None:
        """Count appended events."""
        size = sum(map(len, bodies)) + _RECORD_BYTES * len(bodies)
        self._since += size
        share = min(1.0, len(bodies) / (10 * _SAMPLED))
        self._mean += (size / len(bodies) - self._mean) * (share if self._mean else 1.0)

    def bytes(self) -> int:
        """Return the bytes of events."""
        self._look()
        return round(self._there)

    def bytes_if_known(self) -> int:
        """Return the bytes of events, as of the brokers' last answer if they do not answer now."""
        self._look_if_possible()
        return round(self._there)

    def is_crowded(self) -> bool:
        """Say whether so little room is left that delivered events are not kept."""
        return self.bytes() >= _CROWDED * self._retention.max_bytes

    def age(self, marks: Mapping[int, Mark], ends: Mapping[int, int], now: float) -> float:
        """Return the age of the oldest event that is not done, in seconds."""
        oldest = now
        for number, mark in marks.items():
            if number not in ends or mark.next >= ends[number]:
                continue
            message = self._stretch.first(number, mark.next)
            if message is not None and message.timestamp()[0] != TIMESTAMP_NOT_AVAILABLE:
                oldest = min(oldest, message.timestamp()[1] / 1000)
        return max(0.0, now - oldest)

    def _look_if_possible(self) -> None:
        try:
            self._look()
        except LogUnavailableError:  # appends report it
            return

    def _look(self) -> None:
        before = self._since
        starts = self._groups.starts(self._partitions)
        ends = self._groups.ends(self._partitions)
        count = sum(ends[each] - starts[each] for each in self._partitions)
        self._there = count * self._mean
        self._since -= before
        self._looked_at = time.monotonic()

    def _sample(self) -> None:
        """Measure the last events."""
        starts = self._groups.starts(self._partitions)
        ends = self._groups.ends(self._partitions)
        firsts = {each: max(starts[each], ends[each] - _SAMPLED) for each in self._partitions}
        sizes = [
            len(message.value() or b"") + _RECORD_BYTES
            for message in self._stretch.messages(firsts, ends)
        ]
        if sizes:
            self._mean = sum(sizes) / len(sizes)
