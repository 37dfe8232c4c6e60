"""Structured logs: one JSON object a line, and nothing of what an exception quotes."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from destination_router.service.logs import log_as_json
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
