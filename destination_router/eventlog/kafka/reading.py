"""Reading parts of the topic of events beside the groups: for commands, and for what lags."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import failures_told, told
from destination_router.eventlog.kafka.groups import client_for_reading

_AT_ONCE = 500
_PATIENCE = 60.0


class Stretch:
    """Reads stretches of partitions.

    Args:
        address: where the topic is.
    """

    def __init__(self, address: Address) -> None:
        self._topic = address.events
        self._consumer = Consumer(client_for_reading(address, **{"enable.partition.eof": True}))

    def messages(self, firsts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Message]:
        """Read each partition from its first offset to before its end, each in order.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        for partition, first in firsts.items():
            if first < ends[partition]:
                yield from self._one(partition, first, ends[partition])

    def first(self, partition: int, offset: int) -> Message | None:
        """Read the first event at an offset or behind; None where there is none."""
        end = 2**62
        return next(self._one(partition, offset, end), None)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()

    def _one(self, partition: int, first: int, end: int) -> Iterator[Message]:
        deadline = time.monotonic() + _PATIENCE
        with failures_told(f"{self._topic} cannot be read"), self._assigned(partition, first):
            while True:
                for message in self._consumer.consume(_AT_ONCE, 0.02):
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                            return
                        raise LogUnavailableError(f"{self._topic} cannot be read: {told(error)}")
                    if (message.offset() or 0) >= end:
                        return
                    deadline = time.monotonic() + _PATIENCE
                    yield message
                    if (message.offset() or 0) >= end - 1:
                        return
                if time.monotonic() > deadline:
                    raise LogUnavailableError(f"{self._topic} cannot be read: nothing comes")

    @contextlib.contextmanager
    def _assigned(self, partition: int, first: int) -> Iterator[None]:
        self._consumer.assign([TopicPartition(self._topic, partition, first)])
        try:
            yield
        finally:
            self._consumer.unassign()  # else it would go on to fetch


def headers(message: Message) -> list[tuple[str, str]]:
    """List a message's headers as text."""
    found = message.headers()
    return [
        (name, value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or ""))
        for name, value in (found.items() if isinstance(found, dict) else found or [])
    ]


def headers_of(message: Message) -> tuple[list[str], str | None, str | None]:
    """Read a message's headers: whom it is for (nobody: all), who sent it, and as what replay."""
    targets: list[str] = []
    about: dict[str, str] = {}
    for name, text in headers(message):
        if name == "target":
            targets.append(text)
        else:
            about[name] = text
    return targets, about.get("source"), about.get("replay")
