"""Lets one command at a time change a log on Kafka: the one that has its group's only partition.

A process that delivers joins the group, too, for the moment in which it writes letters again.

No clock decides. When a command ends, the next one goes on. If a command is killed, the next one
goes on after the brokers' session timeout.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, TopicPartition

from destination_router.eventlog.interface import LogFileError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import failures_told, told

_PATIENCE = 120.0
_POLL_SECONDS = 0.1
_DAY_MS = 24 * 3600 * 1000
_UNTOLD = "Kafka cannot say whether another command changes the log"


@contextlib.contextmanager
def alone(address: Address, patience: float = _PATIENCE) -> Iterator[Callable[[], bool]]:
    """Wait until no other command changes the log, and keep others out during a block.

    Args:
        address: where the log is.
        patience: how long to wait at most, in seconds.

    Yields:
        A function that says whether that still holds: a process that stands still for long loses
            its place.

    Raises:
        LogFileError: another command takes too long.
        LogUnavailableError: brokers do not answer, or cannot be asked.
    """
    owned: list[TopicPartition] = []

    def assigned(consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_assign(places)
        consumer.pause(places)  # nothing is to be read
        owned.extend(places)

    def over(consumer: Consumer, places: list[TopicPartition]) -> None:
        owned.clear()
        consumer.incremental_unassign(places)

    about = {
        "group.id": f"{address.prefix}-commands",
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "max.poll.interval.ms": _DAY_MS,
    }
    with failures_told(_UNTOLD):  # a file of [eventlog.kafka], for one, may be gone by now
        opened = Consumer({**address.client, **about})
    with contextlib.closing(opened) as consumer:

        def is_alone() -> bool:
            with failures_told(_UNTOLD):
                consumer.poll(0)
            return bool(owned)

        consumer.subscribe([address.state], on_assign=assigned, on_revoke=over, on_lost=over)
        deadline = time.monotonic() + patience
        with failures_told(_UNTOLD):
            said = ""
            while not owned:
                message = consumer.poll(_POLL_SECONDS)
                error = None if message is None else message.error()
                said = said if error is None else f"; brokers say {told(error)}"
                if time.monotonic() > deadline:
                    raise LogFileError(
                        "another command changes this log: run this one again once it has "
                        f"ended{said}"
                    )
        yield is_alone
