"""What a process goes by now, for whoever looks at it: it may change while they look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.pipeline.connection import Connection
from destination_router.service.checking import check_config

_log = logging.getLogger(__name__)


class Configured(msgspec.Struct, frozen=True):
    """A router.toml with its connections, ready.

    Attributes:
        config: the router.toml.
        connections: those of it.
        path: of the file; None where there is none.
    """

    config: RouterConfig
    connections: Sequence[Connection]
    path: Path | None = None

    def connection(self, name: str) -> Connection | None:
        """Find a connection."""
        return next((each for each in self.connections if each.name == name), None)


Beside = Callable[[Callable[[], Configured]], AbstractAsyncContextManager[object]]
"""What is open while a router works, such as the console; is given what the process goes by."""


class ConfiguredFile:
    """A router.toml, read again when it has changed; one with an error changes nothing.

    Args:
        path: of the file.
        first: what it says now.
    """

    def __init__(self, path: Path, first: Configured) -> None:
        self._path = path
        self._current = first
        self._stamp = _stamp(path)

    def __call__(self) -> Configured:
        """Say what the file says now."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            found = check_config(self._path, gateway=False, alerts=False)
            if found.problems or found.config is None:
                _log.error("reload_refused", extra={"problems": found.problems})
            else:
                self._current = Configured(found.config, found.connections, self._path)
        return self._current


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
