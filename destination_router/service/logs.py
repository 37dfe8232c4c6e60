"""Structured logs: one JSON object a line on standard error, with ids and never personal values.

A line has `time`, `level`, `event` and what belongs to the event; what an operator should know of
each event stands in docs/operating.md.
"""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from destination_router.contract.times import format_time
from destination_router.faults import raised_at
from destination_router.settings.references import ReadableByAllWarning

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISY = ("httpx", "httpcore", "uvicorn", "asyncio")

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


def log_as_json(stream: TextIO | None = None) -> None:
    """Send all logs and warnings of this process to a stream, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
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
    """Tell a warning by its type and place, as exceptions are told: it may quote anything."""
    if isinstance(message, ReadableByAllWarning):
        _log.warning("file_readable_by_all", extra={"file": message.file})
        return
    about = {"category": category.__name__, "where": f"{filename}:{lineno}"}
    _log.warning("python_warning", extra=about)
