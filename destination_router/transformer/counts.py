"""Counts what the transformer does, by connection, for its metrics and log lines.

rudder-server keeps no record of an event that its processor was told to drop, so the transformer
has to report it. Each of several processes writes its counts to a file, where the process that is
asked for the metrics finds them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from destination_router.contract.records import HttpRequest, Note
from destination_router.faults import plain_code
from destination_router.pipeline.connection import Decision, Mapped

What: TypeAlias = Literal["received", "filtered", "rejected", "notes", "delivered", "refused"]
"""What happens to an event (the first four), and to a job at the proxy."""

SUMMARY_SECONDS = 60.0
_SHARED_SECONDS = 1.0
_CODES = 64
"""Of a connection's notes, as they were written: most have a few, and a broken plugin any."""

_TOLD = ("rejected", "notes", "refused")
"""What is worth a line in the log: every code by itself."""

_Key: TypeAlias = tuple[What, str, str]
_Rows = list[tuple[What, str, str, int]]

_log = logging.getLogger(__name__)


class Counts:
    """The counts of this process.

    Args:
        folder: where a transformer's processes write their counts; None: there is one process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / f"{os.getpid()}.json"
        self._numbers: Counter[_Key] = Counter()
        self._noted: dict[str, Counter[str]] = {}
        self._told: Counter[_Key] = Counter()
        self._shared: Counter[_Key] = Counter()

    @property
    def is_shared(self) -> bool:
        """Whether other processes count too."""
        return self._file is not None

    def add(self, what: What, connection: str, label: str = "", count: int = 1) -> None:
        """Add to a count."""
        self._numbers[what, connection, label] += count

    def decided(self, connection: str, made: Mapped | Decision) -> None:
        """Count a connection's decision about an event. It counts as received by itself."""
        request: HttpRequest
        if type(made) is Mapped:
            mapped: Mapped = made
            if mapped.notes:
                self.noted(connection, mapped.notes)
            for request in mapped.requests:
                if request.notes:
                    self.noted(connection, request.notes)
            return
        if made.notes:
            self.noted(connection, made.notes)
        if made.result == "filtered":
            self.add("filtered", connection)
        elif made.result == "rejected":
            self.add("rejected", connection, "" if made.reject is None else made.reject.code)

    def unusable(self, plugin: str, fault: str) -> None:
        """Count an event whose destination cannot be used. The code says whose fault that is."""
        self.add("rejected", plugin, fault)

    def total(self) -> Counter[_Key]:
        """Add up the counts of all processes."""
        self._gather()
        if self._file is None:
            return self._numbers.copy()
        self.share()
        total: Counter[_Key] = Counter()
        for path in self._file.parent.glob("*.json"):
            for what, connection, label, count in msgspec.json.decode(
                path.read_bytes(), type=_Rows
            ):
                total[what, connection, label] += count
        return total

    def share(self) -> None:
        """Write this process's counts where the others find them."""
        self._gather()
        if self._file is None or self._shared == self._numbers:
            return
        rows = [(*key, count) for key, count in self._numbers.items()]
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(rows))
        new.replace(self._file)
        self._shared = self._numbers.copy()

    def summed_up(self) -> Iterator[dict[str, str | int]]:
        """Sum up the changes since the last time, one line for each code of a connection."""
        self._gather()
        for key in sorted(self._numbers):
            what, connection, label = key
            count = self._numbers[key] - self._told[key]
            if count and what in _TOLD:
                name = "status" if what == "refused" else "code"
                yield {"event": what, "connection": connection, name: label, "count": count}
        self._told = self._numbers.copy()

    def noted(self, connection: str, notes: object) -> None:
        """Count an event's notes. They are unchecked: a plugin may return anything."""
        numbers = self._noted.get(connection)
        if numbers is None:
            numbers = self._noted[connection] = Counter()
        codes = []
        for found in notes if type(notes) is tuple else (notes,):
            code = ""
            if type(found) is Note:
                note: Note = found
                code = note.code if type(note.code) is str else ""
            codes.append(code)
        numbers.update(codes)
        if len(numbers) > _CODES:
            self._gather()

    def _gather(self) -> None:
        """Count the notes so far by their plain codes, which would take too long for each note."""
        for connection, codes in self._noted.items():
            for code, count in codes.items():
                self._numbers["notes", connection, plain_code(code, "noted")] += count
            codes.clear()


def log_summary(counts: Counts) -> None:
    """Log a line for each code with a change since the last time."""
    for line in counts.summed_up():
        event = line.pop("event")
        _log.info("transformer_%s", event, extra=line)


async def keep_telling(counts: Counts, seconds: float = SUMMARY_SECONDS) -> None:
    """Log a summary every minute, and share counts with other processes, until cancelled."""
    clock = asyncio.get_running_loop().time
    due = clock() + seconds
    try:
        while True:
            await asyncio.sleep(min(seconds, _SHARED_SECONDS))
            counts.share()
            if clock() >= due:
                log_summary(counts)
                due += seconds
    finally:
        counts.share()
        log_summary(counts)
