"""Reads TOML and JSON that people write, within bounds.

All code that walks through a configuration relies on these bounds. A document beyond them is
refused with a sentence.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from destination_router.contract.records import Json
from destination_router.settings.errors import Problem
from destination_router.settings.words import join_path

T = TypeVar("T")

DEEPEST = 100
"""The most levels of nested tables and lists."""

_TOO_DEEP = f"is nested deeper than {DEEPEST} levels"
_TOO_LARGE = "holds a whole number of more than 64 bits"
_LARGEST = 2**63  # what TOML promises
_PARTS_SHOWN = 5


class DocumentError(ValueError):
    """A text is invalid. The message says what it `is` or `holds`, without its name."""


def read_document(path: Path, *, toml: bool) -> Json:
    """Read a file of TOML or of JSON.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
        DocumentError: it holds something else, or is beyond the bounds.
    """
    text = path.read_text(encoding="utf-8-sig")
    return parse_toml(text) if toml else parse_json(text)


def parse_toml(text: str) -> dict[str, Json]:
    """Read TOML.

    Raises:
        DocumentError: it is none, or nothing here could deal with it.
    """
    return _parsed(tomllib.loads, text, "TOML")


def parse_json(text: str, *, any_number: bool = False) -> Json:
    """Read JSON.

    Args:
        text: what was written.
        any_number: whether whole numbers may have more than 64 bits, because they are only data.

    Raises:
        DocumentError: it is none, or nothing here could deal with it.
    """
    return _parsed(json.loads, text, "JSON", any_number=any_number)


def _parsed(parse: Callable[[str], T], text: str, kind: str, *, any_number: bool = False) -> T:
    try:
        content = parse(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise DocumentError(f"is not {kind}: {error}") from None
    except RecursionError:
        raise DocumentError(_TOO_DEEP) from None
    except ValueError:  # of Python, where a number has more than 4300 digits
        raise DocumentError(_TOO_LARGE) from None
    problem = out_of_bounds(content, any_number=any_number)
    if problem is not None:
        raise DocumentError(", at ".join(filter(None, (problem.detail, problem.path))))
    return content


def out_of_bounds(content: Json, *, any_number: bool = False) -> Problem | None:
    """Find a value that is nested too deeply, or a number that is too large."""
    waiting: deque[tuple[tuple[str, ...], Json]] = deque([((), content)])
    while waiting:
        path, value = waiting.popleft()
        if isinstance(value, int) and not any_number and not -_LARGEST <= value < _LARGEST:
            return Problem(".".join(path), _TOO_LARGE)
        if isinstance(value, (dict, list)):
            if len(path) >= DEEPEST:
                return Problem(".".join(path[:_PARTS_SHOWN]), _TOO_DEEP)
            waiting.extend(((*path, str(key)), item) for key, item in _items(value))
    return None


def number_problems(content: Json, path: str = "") -> list[Problem]:
    """Find every number that is `nan` or `inf`.

    Args:
        content: a value within the bounds.
        path: its path.
    """
    if isinstance(content, (dict, list)):
        return [
            problem
            for key, item in _items(content)
            for problem in number_problems(item, join_path(path, key))
        ]
    if isinstance(content, float) and not math.isfinite(content):
        return [Problem(path, "must be a finite number")]
    return []


def _items(value: dict[str, Json] | list[Json]) -> Iterable[tuple[object, Json]]:
    return value.items() if isinstance(value, dict) else enumerate(value)
