"""An event log's file that a command opens only once it has something to keep there."""

from __future__ import annotations

from pathlib import Path

from destination_router.eventlog.sqlite.log import SqliteEventLog


class LogOnDemand:
    """The file of an event log, for what it keeps beside events.

    Args:
        path: the file; made when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log: SqliteEventLog | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a file already."""
        return self._log is not None or self._path.exists()

    def opened(self) -> SqliteEventLog:
        """Open it, or make it.

        Raises:
            LogFileError: what is at the path cannot be used.
        """
        if self._log is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._log = SqliteEventLog(self._path, ())
        return self._log

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
