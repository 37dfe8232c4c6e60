"""Asks brokers about topics and groups, and commits for groups that have no members."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import RAISED, error_of, failures_told, is_refused
from destination_router.eventlog.kafka.marks import Mark, read, written

TIMEOUT = 15.0
"""How long brokers may take to answer a question, in seconds."""

_GLIMPSE = 2.0

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PAUSE = 0.1
_MOST_ASKING = 16
"""How many clients that read groups' commits are kept. Each has a few threads."""

_HANDED_OVER = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)
_BUSY = frozenset(
    {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.STALE_MEMBER_EPOCH}
)


class _Awaited(Protocol[T_co]):
    def result(self, timeout: float) -> T_co: ...


class Groups:
    """A router's groups, and its topic of events.

    Args:
        address: where they are.

    Every method may raise `LogUnavailableError`.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.admin = AdminClient(address.client)
        self._lock = threading.Lock()
        self._asking: OrderedDict[str, Consumer] = OrderedDict()
        self._partitions: list[int] = []
        self._is_closed = False

    def close(self) -> None:
        """Close it, after the current question."""
        with self._lock:
            self._is_closed = True
            while self._asking:
                self._asking.popitem()[1].close()

    def metadata(self, topic: str | None = None) -> ClusterMetadata:
        """List the brokers, and all topics or one.

        If brokers refuse this client, it does not ask again.
        """
        deadline = time.monotonic() + TIMEOUT
        about = {} if topic is None else {"topic": topic}
        with failures_told("Kafka cannot be asked for its topics", self.admin):
            while True:
                try:
                    return self.admin.list_topics(timeout=_GLIMPSE, **about)
                except RAISED:
                    self.admin.poll(0)
                    if is_refused() or time.monotonic() > deadline:
                        raise

    def partitions(self) -> list[int]:
        """List the partitions of the topic of events; none if there is no such topic."""
        found = self.metadata(self._address.events).topics.get(self._address.events)
        return [] if found is None or found.error is not None else sorted(found.partitions)

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of each partition's next event."""
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def starts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of the first event that each partition still holds."""
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def since(self, partitions: Iterable[int], moment: float) -> dict[int, int]:
        """Return each partition's first offset that came in at or after a Unix time."""
        partitions = list(partitions)
        ends = self.ends(partitions)
        found = self._offsets(partitions, OffsetSpec.for_timestamp(round(moment * 1000)))
        return {each: ends[each] if at < 0 else at for each, at in found.items()}

    def marks(self, connection: str) -> dict[int, Mark]:
        """Return a connection's progress in each partition in which it has committed.

        Raises:
            LogFileError: a commit cannot be read.
        """
        with self._lock:
            # The number of partitions never changes: see `topics.py`.
            self._partitions = self._partitions or self.partitions()
            places = [TopicPartition(self._address.events, each) for each in self._partitions]
            if not places:
                return {}
            consumer = self._consumer(connection)
            found = self._asked("say how far a group is", lambda: _Committed(consumer, places))
        return {each.partition: mark_of(connection, each) for each in found if each.offset >= 0}

    def _consumer(self, connection: str) -> Consumer:
        """Return a consumer that never joins the group, and can read its commits.

        `AdminClient.list_consumer_group_offsets` cannot be used. If a broker answers that another
        one has the group by now, librdkafka 2.16 dies, because an admin client has no group.
        """
        if self._is_closed:
            raise LogUnavailableError("Kafka is not asked any more: this process ends")
        consumer = self._asking.pop(connection, None)
        if consumer is None:
            if len(self._asking) >= _MOST_ASKING:
                self._asking.popitem(last=False)[1].close()
            group = {"group.id": self._address.group(connection), "group.protocol": "consumer"}
            consumer = Consumer({**self._address.client, **group, "enable.auto.commit": False})
        self._asking[connection] = consumer
        return consumer

    def set_marks(self, connection: str, marks: Mapping[int, Mark]) -> bool:
        """Commit a connection's progress; False if a process delivers it: only that may commit."""
        places = [commit_of(self._address, partition, mark) for partition, mark in marks.items()]
        request = ConsumerGroupTopicPartitions(self._address.group(connection), places)

        def ask() -> _Answer:
            answers = self.admin.alter_consumer_group_offsets([request], request_timeout=TIMEOUT)
            return _Answer(_only(answers))

        try:
            self._asked("note how far a group is", ask)
        except _BusyError:
            return False
        return True

    def is_delivered(self, connection: str) -> bool:
        """Say whether a process delivers a connection or stands by for it."""
        group = self._address.group(connection)

        def ask() -> Future[Any]:
            return _only(self.admin.describe_consumer_groups([group], request_timeout=TIMEOUT))

        try:
            found = self._asked("describe a group", ask)
        except _NoGroupError:
            return False
        return bool(found.members) and found.state is not ConsumerGroupState.DEAD

    def forget(self, connection: str) -> bool:
        """Delete a connection's group; False if a process delivers it."""
        group = self._address.group(connection)

        def ask() -> Future[Any]:
            return _only(self.admin.delete_consumer_groups([group], request_timeout=TIMEOUT))

        with contextlib.suppress(_NoGroupError):
            try:
                self._asked("delete a group", ask)
            except _BusyError:
                return False
        return True

    def delete_before(self, firsts: Mapping[int, int]) -> None:
        """Delete the events of each partition before an offset."""
        topic = self._address.events
        for each, first in firsts.items():
            place = TopicPartition(topic, each, first)
            self._asked(
                "delete delivered events",
                lambda place=place: _only(  # type: ignore[misc]
                    self.admin.delete_records([place], request_timeout=TIMEOUT)
                ),
            )

    def _offsets(self, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        found: dict[int, int] = {}
        for each in partitions:
            place = TopicPartition(self._address.events, each)
            answer = self._asked(
                "tell its offsets",
                lambda place=place: _only(  # type: ignore[misc]
                    self.admin.list_offsets({place: spec}, request_timeout=TIMEOUT)
                ),
            )
            found[each] = answer.offset
        return found

    def _asked(self, what: str, ask: Callable[[], _Awaited[T]]) -> T:
        with failures_told(f"Kafka cannot {what}", self.admin), _expected():
            return _settled(lambda: ask().result(timeout=2 * TIMEOUT), self._look_again)

    def _look_again(self) -> None:
        self.admin.list_topics(self._address.events, timeout=_GLIMPSE)


def watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the offsets of a partition's first record and of its next one.

    Raises:
        KafkaException: brokers do not answer for longer than a change of leader takes.
    """
    return _settled(
        lambda: consumer.get_watermark_offsets(place, TIMEOUT),
        lambda: consumer.list_topics(place.topic, timeout=_GLIMPSE),
    )


def _settled(ask: Callable[[], T], look_again: Callable[[], object]) -> T:
    """Ask, and ask again if the broker has just handed over to another one.

    Args:
        ask: asks.
        look_again: asks which brokers lead now. If the known broker leads again in a later epoch,
            librdkafka 2.16 would go on with the former one for a quarter of an hour.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return ask()
        except RAISED as error:
            if error_of(error).code() not in _HANDED_OVER or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)
        with contextlib.suppress(*RAISED):
            look_again()


class _Committed:
    """A question for a group's commits."""

    def __init__(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._places = places

    def result(self, timeout: float) -> list[TopicPartition]:
        """Ask.

        Raises:
            KafkaException: a partition's commit cannot be read; the first such partition's error.
        """
        found = self._consumer.committed(self._places, min(timeout, TIMEOUT))
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return found


class _Answer:
    """An answer that holds an error for each partition."""

    def __init__(self, future: Future[ConsumerGroupTopicPartitions]) -> None:
        self._future = future

    def result(self, timeout: float) -> None:
        """Wait for it.

        Raises:
            KafkaException: the error of the first partition that has one.
        """
        for each in self._future.result(timeout=timeout).topic_partitions or []:
            if each.error is not None:
                raise KafkaException(each.error)


def _only(answers: Mapping[Any, Future[T]]) -> Future[T]:
    (answer,) = answers.values()
    return answer


class _NoGroupError(Exception):
    """There is no such group."""


class _BusyError(Exception):
    """The group has members."""


@contextlib.contextmanager
def _expected() -> Iterator[None]:
    try:
        yield
    except RAISED as error:
        code = error_of(error).code()
        if code == KafkaError.GROUP_ID_NOT_FOUND:
            raise _NoGroupError from error
        if code in _BUSY:
            raise _BusyError from error
        raise


def mark_of(connection: str, place: TopicPartition) -> Mark:
    """Read a commit.

    Raises:
        LogFileError: this program did not write it.
    """
    try:
        return read(place.offset, place.metadata or "")
    except ValueError as error:
        raise LogFileError(
            f"how far {connection!r} is cannot be read: {error}. Does another program commit to "
            "its group? Give this router a prefix of its own"
        ) from None


def commit_of(address: Address, partition: int, mark: Mark) -> TopicPartition:
    """Write a commit."""
    return TopicPartition(address.events, partition, mark.next, written(mark))


def client_for_reading(address: Address, **settings: Any) -> dict[str, Any]:
    """Return the settings of a consumer that belongs to no group."""
    return {
        **address.client,
        "group.id": f"{address.prefix}-reading",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": 2**20,
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.wait.max.ms": 100,
        **settings,
    }
