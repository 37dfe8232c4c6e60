"""Structured logs: one JSON object a line on standard error, with ids and never personal values.

A line has `time`, `level`, `event` and what belongs to the event; what an operator should know of
each event stands in docs/operating.md.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from destination_router.faults import raised_at
from destination_router.times import format_time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISY = ("httpx", "httpcore", "uvicorn", "asyncio")


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


def log_as_json(stream: TextIO | None = None) -> None:
    """Send all logs of this process to a stream, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
