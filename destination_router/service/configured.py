"""The current configuration of a process, for the console. It may change at any time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.faults import whereabouts
from destination_router.pipeline.connection import Connection
from destination_router.service.checking import check_config

_log = logging.getLogger(__name__)


class Configured(msgspec.Struct, frozen=True):
    """A router.toml with its connections, ready.

    Attributes:
        config: the router.toml.
        connections: those of it.
        path: of the file; None if there is none.
    """

    config: RouterConfig
    connections: Sequence[Connection]
    path: Path | None = None

    def connection(self, name: str) -> Connection | None:
        """Find a connection."""
        return next((each for each in self.connections if each.name == name), None)


Beside = Callable[[Callable[[], Configured]], AbstractAsyncContextManager[object]]
"""Something that is open while a router works, such as the console. It gets the configuration."""


class ConfiguredFile:
    """A router.toml that is read again when it has changed. One with an error changes nothing.

    A thread reads it, because a destination's program may start slowly. Until that is done, the
    earlier content holds.

    Args:
        path: of the file.
        first: its content now.
    """

    def __init__(self, path: Path, first: Configured) -> None:
        self._path = path
        self._current = first
        self._stamp = file_stamp(path)
        self._reading: threading.Thread | None = None

    def __call__(self) -> Configured:
        """Return the content that was read last."""
        stamp = file_stamp(self._path)
        is_reading = self._reading is not None and self._reading.is_alive()
        if stamp != self._stamp and not is_reading:
            self._stamp = stamp
            self._reading = threading.Thread(target=self._read, name="router.toml", daemon=True)
            self._reading.start()
        return self._current

    def _read(self) -> None:
        try:
            found = check_config(self._path, gateway=False, alerts=False)
        except BaseException as error:  # noqa: BLE001 -- the next change may be read
            _log.error("reload_failed", extra={"detail": whereabouts(error)})
            return
        if found.problems or found.config is None:
            _log.error("reload_refused", extra={"problems": found.problems})
        else:
            self._current = Configured(found.config, found.connections, self._path)


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Get a value that changes with a file; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
