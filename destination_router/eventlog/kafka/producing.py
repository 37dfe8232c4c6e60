"""How records get into topics: produce all, await all, in order.

One request at a time is under way to each broker, so that nothing overtakes what is tried again.
That is also the fastest here: docs/kafka.md has the figures.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import MAX_EVENT_BYTES, Address
from destination_router.eventlog.kafka.failures import told

DELIVERY_SECONDS = 30.0
"""How long brokers have to take a record, before whoever sent it is told to try again later."""

_POLL_SECONDS = 0.1


Headers = list[tuple[str, str | bytes | None]]
"""What stands beside a record's value: names, of which one may come twice."""


class Record(msgspec.Struct, frozen=True):
    """One record of a topic.

    Attributes:
        topic: where it goes.
        key: by which it is partitioned, or compacted.
        value: None: the key's last record goes.
        headers: what stands beside the value.
        at: Unix time in milliseconds; 0: now.
        partition: -1: as the key says.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = []
    at: int = 0
    partition: int = -1


class Producing:
    """A producer with a thread that hears what became of records.

    Args:
        address: where to.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._producer = _producer(address)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-producer", daemon=True)
        self._thread.start()

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Produce records, in order; their offsets, once enough brokers have all of them.

        Raises:
            LogUnavailableError: some may not have been taken, or may all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[int]] = loop.create_future()

        def settle(offsets: list[int], error: str | None) -> None:
            if future.done():  # who asked was cancelled
                return
            if error is None:
                future.set_result(offsets)
            else:
                future.set_exception(LogUnavailableError(error))

        def settled(offsets: list[int], error: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, offsets, error)

        self._produce(records, settled)
        return await future

    def send_and_wait(self, records: Sequence[Record]) -> list[int]:
        """Produce records from a thread that may wait; else as `send`."""
        done = threading.Event()
        found: list[tuple[list[int], str | None]] = []

        def settled(offsets: list[int], error: str | None) -> None:
            found.append((offsets, error))
            done.set()

        self._produce(records, settled)
        # Records end by themselves; that the client's thread dies is the only other way.
        if not done.wait(2 * DELIVERY_SECONDS):
            raise LogUnavailableError("Kafka does not answer")
        offsets, error = found[0]
        if error is not None:
            raise LogUnavailableError(error)
        return offsets

    def close(self) -> None:
        """Let what is under way end, and let go."""
        self._producer.flush(DELIVERY_SECONDS)
        self._over.set()
        self._thread.join()
        self._producer.close()

    def _produce(
        self, records: Sequence[Record], settled: Callable[[list[int], str | None], None]
    ) -> None:
        batch = _Batch(len(records), settled)
        produce = self._producer.produce
        for number, record in enumerate(records):
            about: dict[str, Any] = {} if record.partition < 0 else {"partition": record.partition}
            try:
                produce(
                    record.topic,
                    record.value,
                    record.key,
                    on_delivery=batch.delivered,
                    timestamp=record.at,
                    headers=record.headers,
                    **about,
                )
            except BufferError:
                batch.failed(
                    "Kafka takes records more slowly than they come", len(records) - number
                )
                return
            except KafkaException as error:
                batch.failed(told(error.args[0]), len(records) - number)
                return
            except RuntimeError:  # it is closed
                batch.failed("Kafka takes no more: this process ends", len(records) - number)
                return

    def _run(self) -> None:
        while not self._over.is_set():
            self._producer.poll(_POLL_SECONDS)


class _Batch:
    """Records that are answered together."""

    __slots__ = ("_error", "_left", "_lock", "_offsets", "_settled")

    def __init__(self, count: int, settled: Callable[[list[int], str | None], None]) -> None:
        self._left = count
        self._settled = settled
        self._offsets: list[int] = []
        self._error: str | None = None
        self._lock = threading.Lock()

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Hear of one."""
        if error is None:
            # Answers of one partition come in its order, which is that of the records.
            self._offsets.append(message.offset() or 0)
        else:
            self._error = told(error)
        self._less(1)

    def failed(self, error: str, count: int) -> None:
        """Note that some were not even sent."""
        self._error = error
        self._less(count)

    def _less(self, count: int) -> None:
        with self._lock:
            self._left -= count
            is_over = self._left == 0
        if is_over:
            self._settled(self._offsets, self._error)


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
