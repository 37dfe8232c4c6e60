"""What goes wrong with a Kafka, in words for the one who has to mend it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from confluent_kafka import KafkaError, KafkaException

from destination_router.eventlog.interface import LogUnavailableError

LOST = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._FENCED,  # noqa: SLF001 -- public, for all its name
        KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
    }
)
"""A commit that fails so was somebody's who delivers no more."""


@contextlib.contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Turn what a client raises into `LogUnavailableError`."""
    try:
        yield
    except KafkaException as error:
        raise LogUnavailableError(f"{what}: {told(error.args[0])}") from error
    except TimeoutError as error:
        raise LogUnavailableError(f"{what}: no broker answers") from error


def told(error: KafkaError) -> str:
    """Say what is wrong: Kafka's own name for it, by which it is looked up, and its words."""
    return f"{error.name()} ({error.str()})"
