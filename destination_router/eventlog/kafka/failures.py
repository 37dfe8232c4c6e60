"""Describes failures of a Kafka for the person who has to mend it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from destination_router.eventlog.interface import LogUnavailableError

RAISED = cast("tuple[type[Exception], ...]", (KafkaException, KafkaError))
"""What a client raises: `KafkaException`, which holds a `KafkaError`, or sometimes that itself.

Python lets a `KafkaError` be raised, though its only base is `object`. So `except BaseException`
does not catch it, and neither does a pool of threads, whose caller would wait for ever.
"""

WHATEVER: tuple[type[Exception], ...] = (Exception, *RAISED)
"""What a client, or what a thread does with it, raises."""

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
"""If a commit fails with one of these, its process no longer delivers."""


_REFUSED = {
    KafkaError._AUTHENTICATION: (  # noqa: SLF001
        "the brokers refuse who this is: see username, password and sasl in [eventlog.kafka]"
    ),
    KafkaError._SSL: (  # noqa: SLF001
        "no encrypted connection comes about: see tls, ca_file, certificate_file and key_file in "
        "[eventlog.kafka]"
    ),
}
_UNREACHED = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        *_REFUSED,
    }
)
_REMEMBERED_SECONDS = 30.0


class _Refusals:
    """The brokers' last refusal, which the client does not report to the calls that fail for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[float, KafkaError] | None = None

    def note(self, error: KafkaError) -> None:
        """Note an error that a client reports outside its answers, from any thread."""
        if error.code() in _REFUSED:
            with self._lock:
                self._last = (time.monotonic(), error)

    def why(self, code: int | None) -> str | None:
        """Say why brokers cannot be reached, if they said so lately; else None."""
        with self._lock:
            last = self._last
        if last is None or time.monotonic() - last[0] > _REMEMBERED_SECONDS:
            return None
        if code is not None and code not in _UNREACHED:
            return None
        return f"{_REFUSED[last[1].code()]}. {told(last[1])}"


_refusals = _Refusals()
note_refusal = _refusals.note
"""The callback of every client for errors outside its answers (`error_cb`)."""


def is_refused() -> bool:
    """Say whether brokers refused a client of this process a moment ago."""
    return _refusals.why(None) is not None


@contextlib.contextmanager
def failures_told(what: str, asked: AdminClient | None = None) -> Iterator[None]:
    """Turn what a client raises into `LogUnavailableError`.

    Args:
        what: what failed, as the beginning of a sentence.
        asked: a client whose other errors nobody else polls for.
    """
    try:
        yield
    except RAISED as error:
        _listen(asked)
        why = _refusals.why(error_of(error).code()) or told(error_of(error))
        raise LogUnavailableError(f"{what}: {why}") from error
    except TimeoutError as error:
        _listen(asked)
        why = _refusals.why(None) or "no broker answers"
        raise LogUnavailableError(f"{what}: {why}") from error


def _listen(asked: AdminClient | None) -> None:
    if asked is not None:
        asked.poll(0)


def error_of(raised: Exception) -> KafkaError:
    """Return the error of what a client has raised (`RAISED`)."""
    return cast("KafkaError", raised.args[0] if isinstance(raised, KafkaException) else raised)


def told(error: KafkaError) -> str:
    """Say what is wrong: Kafka's name for it, which people can look up, and its words."""
    return f"{error.name()} ({error.str()})"
