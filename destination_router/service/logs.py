"""Structured logs: one JSON object a line on standard error, with ids and never personal values.

A line has `time`, `level`, `event` and the fields of the event. docs/operating.md explains each
event.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from destination_router.contract.times import format_time
from destination_router.faults import raised_at
from destination_router.settings.references import ReadableByAllWarning

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISY = ("httpx", "httpcore", "uvicorn", "asyncio")

_MOST_KINDS = 1000

_Kind = tuple[str, object, object]
"""A line's event, connection and code."""

_log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write `time`, `level`, `event` and the record's own fields."""
        line: dict[str, Any] = {
            "time": format_time(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            # The type and the place, since an exception's text may quote what it failed on.
            line["error"] = record.exc_info[0].__name__
            line["where"] = raised_at(record.exc_info[2])
        return msgspec.json.encode(line, enc_hook=str).decode()


class _Minute(msgspec.Struct, eq=False):
    """The number of lines of one kind since the first, and the end of its minute."""

    ends: float
    level: int
    count: int = 0


class SummedUp(logging.StreamHandler[TextIO]):
    """Writes the first hundred lines of each kind in a minute, and sums up the others in one line.

    A kind is an event, connection and code, so that garbage hides no other lines.

    Args:
        stream: the output.
        most: the most lines of a kind in a period.
        period: in seconds.
        clock: any clock, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        most: int = 100,
        period: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._most = most
        self._period = period
        self._clock = clock
        self._minutes: dict[_Kind, _Minute] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write or count a line."""
        about = vars(record)
        kind = (str(record.msg), about.get("connection"), about.get("code"))
        minute = self._minutes.get(kind)
        if minute is None or self._clock() >= minute.ends:
            if minute is not None:
                self._tell(kind, minute)
            minute = self._begin(kind, record.levelno)
        minute.count += 1
        if minute.count <= self._most:
            super().emit(record)
        elif minute.count == self._most + 1:
            # It is told even if no further line comes.
            ending = threading.Timer(self._period, self._end, (kind, minute))
            ending.daemon = True
            ending.start()

    def close(self) -> None:
        """Write the sums that are still due, and close."""
        with self._held():
            for kind, minute in list(self._minutes.items()):
                self._tell(kind, minute)
        super().close()

    def _begin(self, kind: _Kind, level: int) -> _Minute:
        now = self._clock()
        if len(self._minutes) >= _MOST_KINDS:
            going = [one for one, minute in self._minutes.items() if now >= minute.ends]
            for one in going:
                self._tell(one, self._minutes[one])
        self._minutes[kind] = _Minute(now + self._period, level)
        return self._minutes[kind]

    def _end(self, kind: _Kind, minute: _Minute) -> None:
        with self._held():
            if self._minutes.get(kind) is minute:
                self._tell(kind, minute)

    def _tell(self, kind: _Kind, minute: _Minute) -> None:
        self._minutes.pop(kind, None)
        if minute.count <= self._most:
            return
        event, connection, code = kind
        line = {
            "name": __name__,
            "levelno": minute.level,
            "levelname": logging.getLevelName(minute.level),
            "msg": "lines_left_out",
            "of": event,
            "connection": connection,
            "code": code,
            "count": minute.count - self._most,
        }
        known = {name: value for name, value in line.items() if value is not None}
        super().emit(logging.makeLogRecord(known))

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


def log_as_json(stream: TextIO | None = None) -> None:
    """Send all logs and warnings of this process to a stream, standard error by default."""
    handler = SummedUp(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.showwarning = _log_warning


def _log_warning(  # noqa: PLR0913, PLR0917 -- as `warnings.showwarning` is called
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Log a warning by its type and place, because its text may quote anything."""
    if isinstance(message, ReadableByAllWarning):
        _log.warning("file_readable_by_all", extra={"file": message.file})
        return
    about = {"category": category.__name__, "where": f"{filename}:{lineno}"}
    _log.warning("python_warning", extra=about)
