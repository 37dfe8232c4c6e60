"""Gives an event loop the lines of a file, or of a stream that may pause.

A file is read on demand. A stream is read by its own thread, so that a pause of the sender delays
neither the lines before it nor the answers to requests under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from destination_router.files.reading import STANDARD_INPUT, BrokenOffError, Line, read_lines

LINGER = 0.05
"""The seconds during which lines of a stream are collected before they are handed out."""

MOST_BYTES = 32 * 2**20
"""The bytes of messages after which no more are taken at once, or read ahead."""

_AHEAD = 2000
"""The most lines that are read ahead."""


class LineSource(Protocol):
    """A source of lines."""

    @property
    def ended(self) -> bool:
        """Whether there are no more lines."""

    @property
    def broken(self) -> str | None:
        """Where it breaks off; None if it does not."""

    async def take(self, limit: int) -> list[Line]:
        """Take lines, in order, of `MOST_BYTES` together or with one more.

        An empty result means that it has ended.
        """

    def rest(self) -> Iterator[Line]:
        """Take the remaining lines without waiting for more."""


def line_source(source: str) -> LineSource:
    """Choose how to read a file, or `-` for standard input, for whoever decides about its messages.

    Raises:
        OSError, UsageError: as `read_lines`, but for a stream only when lines are taken.
    """
    lines = read_lines(source, decodes=True)
    return Stream(lines) if _may_pause(source) else File(lines)


def _may_pause(source: str) -> bool:
    try:
        if source == STANDARD_INPUT:
            return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
        return Path(source).is_fifo()
    except OSError:
        return False  # it is told when it is opened


class File:
    """Lines of a file, read on demand.

    Args:
        lines: in order.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.ended = False
        self.broken: str | None = None

    async def take(self, limit: int) -> list[Line]:
        """Read on."""
        taken: list[Line] = []
        size = 0
        try:
            for line in islice(self._lines, limit):
                taken.append(line)
                size += len(line.raw)
                if size >= MOST_BYTES:
                    return taken
        except BrokenOffError as error:
            self.broken = str(error)
        self.ended = len(taken) < limit
        return taken

    def rest(self) -> Iterator[Line]:
        """Read to the end."""
        return iter(self._next, None)

    def _next(self) -> Line | None:
        try:
            return next(self._lines, None)
        except BrokenOffError as error:
            self.broken = str(error)
            return None


class Stream:
    """Lines of a stream.

    Args:
        lines: in order. Waiting for the next may take for ever.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = File(lines)
        self._arrived: asyncio.Queue[Line | Exception | None] = asyncio.Queue()
        self._ahead = _Ahead()
        self._reader: threading.Thread | None = None
        self.ended = False

    @property
    def broken(self) -> str | None:
        """Where it breaks off."""
        return self._lines.broken

    async def take(self, limit: int) -> list[Line]:
        """Wait for a line, and take those that follow soon.

        Raises:
            OSError, UsageError: as `read_lines`.
        """
        if self._reader is None:
            # A daemon: at the end nobody waits for a line that may never come.
            arguments = (asyncio.get_running_loop(),)
            self._reader = threading.Thread(target=self._read, args=arguments, daemon=True)
            self._reader.start()
        taken: list[Line] = []
        size = self._keep(await self._arrived.get(), taken)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while len(taken) < limit and size < MOST_BYTES and not self.ended:
                    size += self._keep(await self._arrived.get(), taken)
        return taken

    def rest(self) -> Iterator[Line]:
        """Take the lines that were read ahead."""
        while not self._arrived.empty():
            arrived = self._arrived.get_nowait()
            if isinstance(arrived, Line):
                yield arrived

    def _keep(self, arrived: Line | Exception | None, taken: list[Line]) -> int:
        """Take a line, and return its bytes."""
        if isinstance(arrived, Exception):
            raise arrived
        if arrived is None:
            self.ended = True
            return 0
        taken.append(arrived)
        size = len(arrived.raw)
        self._ahead.leave(size)
        return size

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        end: Exception | None = None
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all interest
            try:
                for line in self._lines.rest():
                    self._ahead.come(len(line.raw))
                    loop.call_soon_threadsafe(self._arrived.put_nowait, line)
            except Exception as error:  # noqa: BLE001 -- raised where lines are taken
                end = error
            loop.call_soon_threadsafe(self._arrived.put_nowait, end)


class _Ahead:
    """The lines that a thread has read and nobody has taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines = 0
        self._bytes = 0

    def come(self, size: int) -> None:
        """Count another one, once there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines < _AHEAD and self._bytes < MOST_BYTES)
            self._lines += 1
            self._bytes += size

    def leave(self, size: int) -> None:
        """Count one less."""
        with self._changed:
            self._lines -= 1
            self._bytes -= size
            self._changed.notify()
