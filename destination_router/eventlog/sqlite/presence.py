"""Checks that the open files are still those at their paths: otherwise writes are lost."""

from __future__ import annotations

import os
from pathlib import Path

from destination_router.eventlog.sqlite.writer import RefusedError

_ENDINGS = ("", "-wal", "-shm")


class OpenFiles:
    """The open files of a log. From the first read on, SQLite has all of them open.

    Attributes:
        bytes: how large they were at the last check, all together.

    Args:
        path: the log's path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        names = [f"{path.resolve()}{ending}" for ending in _ENDINGS]
        self._known = {
            name: (found.st_dev, found.st_ino)
            for name in names
            if (found := _found(name)) is not None
        }
        self.bytes = 0

    def refuse_if_gone(self) -> None:
        """Check that none was removed, moved or replaced.

        Raises:
            RefusedError: one was. If it comes back, the log works again.
        """
        size = 0
        for name, known in self._known.items():
            found = _found(name)
            if found is None or (found.st_dev, found.st_ino) != known:
                raise RefusedError(
                    f"{name} was removed, moved or replaced while {self._path} was in use: put it "
                    "back, or restart"
                )
            size += found.st_size
        self.bytes = size


def _found(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- before each write; `Path` takes five times as long
    except OSError:
        return None
