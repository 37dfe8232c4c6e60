"""Checks that the open files are still those at their paths: otherwise writes are lost."""

from __future__ import annotations

import os
from pathlib import Path

from destination_router.eventlog.sqlite.writer import RefusedError

_ENDINGS = ("", "-wal", "-shm")


class OpenFiles:
    """The open files of a log. From the first read on, SQLite has all of them open.

    Args:
        path: the log's path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        names = [f"{path.resolve()}{ending}" for ending in _ENDINGS]
        self._known = {name: found for name in names if (found := _identity(name)) is not None}

    def refuse_if_gone(self) -> None:
        """Check that none was removed, moved or replaced.

        Raises:
            RefusedError: one was. If it comes back, the log works again.
        """
        for name, known in self._known.items():
            if _identity(name) != known:
                raise RefusedError(
                    f"{name} was removed, moved or replaced while {self._path} was in use: put it "
                    "back, or restart"
                )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- before each write; `Path` takes five times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
