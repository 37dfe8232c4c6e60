"""An event log that a command opens only once it has something to keep there."""

from __future__ import annotations

from collections.abc import Callable

from destination_router.eventlog.router_log import RouterLog


class LogOnDemand:
    """An event log, for what it keeps beside events.

    Args:
        make: opens it, or makes it.
        is_there: says whether there is one already.
    """

    def __init__(self, make: Callable[[], RouterLog], is_there: Callable[[], bool]) -> None:
        self._make = make
        self._is_there = is_there
        self._log: RouterLog | None = None

    @property
    def is_there(self) -> bool:
        """Whether the log exists already."""
        return self._log is not None or self._is_there()

    def opened(self) -> RouterLog:
        """Open it, or make it.

        Raises:
            LogFileError: what is there cannot be used.
        """
        if self._log is None:
            self._log = self._make()
        return self._log

    def close(self) -> None:
        """Close it."""
        if self._log is not None:
            self._log.close()
