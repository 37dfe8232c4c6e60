"""Reads parts of the topic of events outside the groups, for commands and for lags."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping

import msgspec
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import failures_told, told
from destination_router.eventlog.kafka.groups import client_for_reading, watermarks

_AT_ONCE = 500
_PATIENCE = 60.0
_REPLAYS = (None, "events", "profiles")


class Stretch:
    """Reads stretches of partitions, one at a time, for any thread.

    Args:
        address: where the topic is.
    """

    def __init__(self, address: Address) -> None:
        self._topic = address.events
        self._lock = threading.RLock()
        self._is_closed = False
        self._consumer = Consumer(client_for_reading(address, **{"enable.partition.eof": True}))

    def messages(self, firsts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Message]:
        """Read each partition in order, from its first offset up to, but not including, its end.

        Raises:
            LogUnavailableError: it cannot be read now.
        """
        for partition, first in firsts.items():
            if first < ends[partition]:
                yield from self._one(partition, first, ends[partition])

    def first(self, partition: int, offset: int) -> Message | None:
        """Read the first event at or after an offset; None if there is none."""
        end = 2**62
        with contextlib.closing(self._one(partition, offset, end)) as found:
            return next(found, None)

    def close(self) -> None:
        """Close it, after the current stretch."""
        with self._lock:
            self._is_closed = True
            self._consumer.close()

    def _one(self, partition: int, first: int, end: int) -> Generator[Message]:
        deadline = time.monotonic() + _PATIENCE
        told_of = f"{self._topic} cannot be read"
        with self._lock, failures_told(told_of), self._assigned(partition, first):
            while True:
                for message in self._consumer.consume(_AT_ONCE, 0.02):
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                            return
                        if error.code() == KafkaError._AUTO_OFFSET_RESET and (  # noqa: SLF001
                            self._goes_on_behind(partition, first)
                        ):
                            break
                        raise LogUnavailableError(f"{self._topic} cannot be read: {told(error)}")
                    if (message.offset() or 0) >= end:
                        return
                    deadline = time.monotonic() + _PATIENCE
                    yield message
                    if (message.offset() or 0) >= end - 1:
                        return
                if time.monotonic() > deadline:
                    raise LogUnavailableError(f"{self._topic} cannot be read: nothing comes")

    def _goes_on_behind(self, partition: int, first: int) -> bool:
        """Go on where the partition begins now; False if nothing was deleted meanwhile.

        A router deletes only events that every connection is done with.
        """
        begins, _ = watermarks(self._consumer, TopicPartition(self._topic, partition))
        if begins <= first:
            return False
        self._consumer.assign([TopicPartition(self._topic, partition, begins)])
        return True

    @contextlib.contextmanager
    def _assigned(self, partition: int, first: int) -> Iterator[None]:
        if self._is_closed:
            raise LogUnavailableError(f"{self._topic} is not read any more: this process ends")
        self._consumer.assign([TopicPartition(self._topic, partition, first)])
        try:
            yield
        finally:
            self._consumer.unassign()  # otherwise it would go on fetching


class UnreadableError(ValueError):
    """A record is no event of a router. The text says why, without the content."""


class Found(msgspec.Struct, frozen=True):
    """A record of the topic of events.

    Attributes:
        partition: where it is.
        offset: where it is in that.
        at: when it came in, Unix time in seconds; None if the record does not say.
        body: one message, as wire JSON.
        targets: the connections that it is for; empty: all.
        source: who sent it.
        replay: as `Event.replay`.
        moved: the file that it came from, and its place in that file; empty: none.
    """

    partition: int
    offset: int
    at: float | None
    body: bytes
    targets: tuple[str, ...] = ()
    source: str | None = None
    replay: str | None = None
    moved: str = ""


def found(message: Message) -> Found:
    """Read a record.

    Raises:
        UnreadableError: no router wrote it.
    """
    body = message.value()
    if body is None:
        raise UnreadableError("it has no value")
    targets: list[str] = []
    about: dict[str, str] = {}
    try:
        headers = message.headers() or []
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            text = value.decode() if isinstance(value, bytes) else str(value or "")
            if name == "target":
                targets.append(text)
            else:
                about[name] = text
    except (UnicodeDecodeError, RuntimeError, SystemError):
        raise UnreadableError("its headers cannot be read") from None
    replay = about.get("replay")
    if replay not in _REPLAYS:
        raise UnreadableError("it is a replay of a kind that is not known here")
    kind, milliseconds = message.timestamp()
    at = None if kind == TIMESTAMP_NOT_AVAILABLE or milliseconds < 0 else milliseconds / 1000
    return Found(
        message.partition() or 0,
        message.offset() or 0,
        at,
        body,
        tuple(targets),
        about.get("source"),
        replay,
        about.get("moved", ""),
    )


def readable(messages: Iterable[Message]) -> Iterator[Found]:
    """Read records, and leave out those that are no events."""
    for message in messages:
        with contextlib.suppress(UnreadableError):
            yield found(message)
