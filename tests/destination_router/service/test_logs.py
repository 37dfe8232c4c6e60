"""Structured logs: one JSON object a line, and nothing of what an exception quotes."""

import io
import json
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waiting import PATIENCE

from destination_router.service.logs import JsonLines, SummedUp, log_as_json
from destination_router.settings.references import ReadableByAllWarning


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level, showing = list(root.handlers), root.level, warnings.showwarning
    stream = io.StringIO()
    log_as_json(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    warnings.showwarning = showing


def lines(said: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_a_record_is_a_line(said: io.StringIO) -> None:
    """Time, level, event, and the record's own fields; no more."""
    logging.getLogger("x").warning("dead_letter", extra={"connection": "heap", "offset": 7})
    (line,) = lines(said)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "dead_letter",
        "connection": "heap",
        "offset": 7,
    }


def test_an_exception_is_told_by_type_and_place(said: io.StringIO) -> None:
    """Its text may quote personal data, so it stays out."""
    try:
        raise ValueError("ada@example.com")  # noqa: TRY301
    except ValueError:
        logging.getLogger("x").exception("worker_failed")
    (line,) = lines(said)
    assert line["error"] == "ValueError"
    assert "test_logs.py:" in line["where"]
    assert "ada" not in said.getvalue()


def test_libraries_are_quiet(said: io.StringIO) -> None:
    """Nobody wants a line for each HTTP request."""
    logging.getLogger("httpx").info("POST")
    assert lines(said) == []


def test_a_warning_is_a_line_too(said: io.StringIO) -> None:
    """Python's own and those of libraries, by type and place: whoever reads the log reads JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("ada@example.com", UserWarning, stacklevel=1)
    (line,) = lines(said)
    assert (line["event"], line["level"]) == ("python_warning", "warning")
    assert line["category"] == "UserWarning"
    assert "test_logs.py:" in line["where"]
    assert "ada" not in said.getvalue()


def test_a_key_that_every_user_can_read_is_told(said: io.StringIO) -> None:
    """By the name of its file, which is what an operator needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(ReadableByAllWarning("/run/secrets/key"), stacklevel=1)
    (line,) = lines(said)
    assert line["event"] == "file_readable_by_all"
    assert line["file"] == "/run/secrets/key"


class Watched(JsonLines):
    """Tells when lines were summed up."""

    def __init__(self, told: threading.Event) -> None:
        super().__init__()
        self._told = told

    def format(self, record: logging.LogRecord) -> str:
        if record.msg == "lines_left_out":
            self._told.set()
        return super().format(record)


def summing(clock: Callable[[], float], **options: Any) -> tuple[logging.Logger, SummedUp]:
    handler = SummedUp(io.StringIO(), clock=clock, **options)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("x")  # noqa: LOG001 -- no other handler shall see it
    logger.addHandler(handler)
    return logger, handler


def written(handler: SummedUp) -> list[dict[str, Any]]:
    return [json.loads(line) for line in handler.stream.getvalue().splitlines()]


def test_lines_of_one_kind_are_summed_up() -> None:
    """The first hundred in a minute are written; with the next minute, how many were not."""
    now = [0.0]
    logger, handler = summing(lambda: now[0])
    for number in range(250):
        logger.warning("dead_letter", extra={"connection": "heap", "code": "a", "offset": number})
        now[0] += 0.1
    assert [line["offset"] for line in written(handler)] == list(range(100))
    now[0] = 60.0
    logger.warning("dead_letter", extra={"connection": "heap", "code": "a", "offset": 250})
    summed, next_line = written(handler)[100:]
    del summed["time"]
    assert summed == {
        "level": "warning",
        "event": "lines_left_out",
        "of": "dead_letter",
        "connection": "heap",
        "code": "a",
        "count": 150,
    }
    assert next_line["offset"] == 250
    handler.close()


def test_lines_of_other_kinds_are_written() -> None:
    """What garbage causes hides no other connection and no other code."""
    logger, handler = summing(lambda: 0.0, most=2)
    for _ in range(50):
        logger.warning("dead_letter", extra={"connection": "heap", "code": "invalid_json"})
        logger.warning("no room for %s", object())
    logger.warning("dead_letter", extra={"connection": "heap", "code": "http_400"})
    logger.warning("dead_letter", extra={"connection": "other", "code": "invalid_json"})
    logger.info("stopped")
    assert len(written(handler)) == 4 + 3
    handler.close()
    assert [(line["of"], line["count"]) for line in written(handler)[7:]] == [
        ("dead_letter", 48),
        ("no room for %s", 48),
    ]


def test_what_was_left_out_is_told_though_nothing_follows() -> None:
    """The last lines of a rush are summed up when its minute is over."""
    logger, handler = summing(time.monotonic, most=1, period=0.01)
    told = threading.Event()
    handler.setFormatter(Watched(told))
    for _ in range(3):
        logger.warning("accept failed")
    assert told.wait(PATIENCE)
    handler.close()
    assert sum(line.get("count", 1) for line in written(handler)) == 3


def test_many_kinds_are_forgotten_again() -> None:
    """Memory holds those of the last minute."""
    now = [0.0]
    logger, handler = summing(lambda: now[0])
    for number in range(5000):
        logger.warning("dead_letter", extra={"code": f"c{number}"})
        now[0] += 0.1
    assert len(handler._minutes) <= 1000 + 1
    handler.close()
