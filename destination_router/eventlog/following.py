"""Keeps a log open that is read repeatedly, such as by the pages of a console."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.opening import open_admin


class FollowedLog:
    """A log as commands use it. It stays open between uses if opening it is expensive.

    A file is opened each time. On Kafka, what is remembered (dead letters, ties, pauses) is read
    once, from the beginning of its topics; each later use reads only what has changed since.

    Args:
        config: the table `[eventlog]`.
    """

    def __init__(self, config: EventLogConfig) -> None:
        self._config = config
        self._followed: Any = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def opened(self) -> Iterator[LogAdmin]:
        """Use it as it is now. It blocks: call it in a thread; on Kafka, one waits for the other.

        Raises:
            LogFileError: it cannot be used, or is not there.
        """
        if not self._config.is_kafka:
            with open_admin(self._config) as log:
                yield log
            return
        with self._lock:
            if self._followed is None:
                self._followed = _followed(self._config)
        with self._followed.opened() as log:
            yield log

    def close(self) -> None:
        """Close it, after the current use."""
        with self._lock:
            if self._followed is not None:
                self._followed.close()
                self._followed = None


def _followed(config: EventLogConfig) -> Any:
    address = address_of(config)
    from destination_router.eventlog.kafka.admin import Followed  # noqa: PLC0415 -- an extra

    return Followed(address)
