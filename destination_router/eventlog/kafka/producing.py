"""Writes records to topics: it produces all in order, and waits for all.

One request at a time is under way to each broker, so that no record overtakes one that is tried
again. That is also the fastest here: docs/kafka.md has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import MAX_EVENT_BYTES, Address
from destination_router.eventlog.kafka.failures import RAISED, error_of, told

DELIVERY_SECONDS = 30.0
"""How long brokers have to take a record before its sender is told to try again later."""

_POLL_SECONDS = 0.001
_WAIT_SECONDS = 0.005
_RENEWAL_SECONDS = 1.0
"""The least time between two clients, of which brokers refuse one after the other."""

Headers = list[tuple[str, str | bytes | None]]
"""The headers beside a record's value. A name may come twice."""


class Record(msgspec.Struct, frozen=True):
    """One record of a topic.

    Attributes:
        topic: where it goes.
        key: its partition and its compaction go by this.
        value: None deletes the key's last record.
        headers: the headers beside the value.
        at: Unix time in milliseconds; 0: now.
        partition: its partition; -1: by the key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = []
    at: int = 0
    partition: int = -1


class Producing:
    """A producer that a waiting caller polls for the fate of its records.

    It has no polling thread of its own: Python would switch between that thread and the event loop
    for each record, which costs more than everything else.

    A client that brokers refuse for good, for example for lack of a right, is replaced once its
    records have ended. The next one may be let in.

    Args:
        address: where the topics are.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._producer = _producer(address)
        self._made_at = time.monotonic()
        self._refusal: str | None = None  # why brokers refuse this client for good
        self._renewing = threading.Lock()
        self._waiting = 0
        self._hears = False
        self._is_closed = False

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Produce records in order; return their offsets once enough brokers have all of them.

        Raises:
            LogUnavailableError: some may or may not have been taken.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        thread = threading.get_ident()

        def settle() -> None:
            if not future.done():  # done: the caller was cancelled
                future.set_result(None)

        def settled() -> None:
            if threading.get_ident() == thread:
                settle()
            elif not loop.is_closed():  # polled by a thread that waits for records of its own
                loop.call_soon_threadsafe(settle)

        batch = self._produced(records, settled)
        self._waiting += 1
        if not self._hears:
            self._hears = True
            loop.call_later(_POLL_SECONDS, self._hear, loop)
        try:
            await future
        finally:
            self._waiting -= 1
        return batch.offsets()

    def send_and_wait(self, records: Sequence[Record]) -> list[int]:
        """Produce records as `send` does, from a thread that may wait."""
        done = threading.Event()
        batch = self._produced(records, done.set)
        # Records end by themselves, unless the client's thread dies.
        deadline = time.monotonic() + 2 * DELIVERY_SECONDS
        while not done.is_set():
            if time.monotonic() > deadline:
                raise LogUnavailableError("Kafka does not answer")
            # Another thread may poll for this one's records, so the wait is short.
            self._poll(_WAIT_SECONDS)
        return batch.offsets()

    def close(self) -> None:
        """Finish what is under way, and close. No other thread uses it any more."""
        self._is_closed = True
        with contextlib.suppress(*RAISED):  # it is refused: nothing is under way
            self._producer.flush(DELIVERY_SECONDS)
        self._producer.close()

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        """Poll for the fate of records while a caller on the event loop waits."""
        self._hears = self._waiting > 0 and not self._is_closed
        if self._hears:
            self._poll(0)
            loop.call_later(_POLL_SECONDS, self._hear, loop)

    def _poll(self, seconds: float) -> None:
        try:
            self._producer.poll(seconds)
        except RAISED as error:
            self._refusal = told(error_of(error))

    def _renew(self) -> None:
        with self._renewing:
            is_young = time.monotonic() - self._made_at < _RENEWAL_SECONDS
            if self._refusal and not is_young and not len(self._producer):
                self._made_at = time.monotonic()
                try:
                    self._producer = _producer(self._address)
                except RAISED as error:  # as without a file that it needs
                    self._refusal = told(error_of(error))
                else:
                    self._refusal = None

    def _produced(self, records: Sequence[Record], settled: Callable[[], None]) -> _Batch:
        if self._refusal:
            self._renew()
        batch = _Batch(len(records), settled, lambda: self._refusal)
        produce = self._producer.produce
        delivered = batch.delivered
        taken = 0
        try:
            for record in records:
                produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    delivered,
                    None,
                    record.at,
                    record.headers,
                )
                taken += 1
        except BufferError:
            error = "Kafka takes records more slowly than they come"
        except RAISED as raised:
            self._poll(0)
            error = self._refusal or told(error_of(raised))
        except RuntimeError:  # it is closed
            error = "Kafka takes no more: this process ends"
        else:
            return batch
        batch.failed(error, len(records) - taken)
        return batch


class _Batch:
    """Records that are answered together."""

    __slots__ = ("_error", "_left", "_lock", "_offsets", "_refusal", "_settled")

    def __init__(
        self, count: int, settled: Callable[[], None], refusal: Callable[[], str | None]
    ) -> None:
        self._refusal = refusal
        self._left = count
        self._settled = settled
        self._offsets: list[int] = []
        self._error: str | None = None
        self._lock = threading.Lock()

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Note the fate of one record."""
        if error is None:
            # A partition's answers come in its order, which is that of the records.
            self._offsets.append(message.offset() or 0)
        else:
            self._error = self._refusal() or told(error)
        self._less(1)

    def failed(self, error: str, count: int) -> None:
        """Note that some records were not even sent."""
        self._error = error
        self._less(count)

    def offsets(self) -> list[int]:
        """Return their offsets.

        Raises:
            LogUnavailableError: some were not taken.
        """
        if self._error is not None:
            raise LogUnavailableError(self._error)
        return self._offsets

    def _less(self, count: int) -> None:
        with self._lock:
            self._left -= count
            is_over = self._left == 0
        if is_over:
            self._settled()


def _producer(address: Address) -> Producer:
    return Producer(
        {
            **address.client,
            "acks": "all",
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 2,
            "delivery.timeout.ms": round(1000 * DELIVERY_SECONDS),
            "partitioner": "murmur2_random",  # Java's; librdkafka's own default is another
            "message.max.bytes": MAX_EVENT_BYTES,
            "queue.buffering.max.kbytes": 256 * 1024,
        }
    )
