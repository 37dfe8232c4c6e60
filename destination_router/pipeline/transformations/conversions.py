"""Converts the types of values for transformations. A value that cannot be converted stays."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from destination_router.contract import javascript
from destination_router.contract.times import format_time, read_time
from destination_router.pipeline.paths import UNDEFINED

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_MOST_DIGITS = 400


def _to_string(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return javascript.text(value) if isinstance(value, (bool, int, float)) else UNDEFINED


def _to_number(value: Any) -> Any:
    if isinstance(value, bool):
        return UNDEFINED
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or len(value) > _MOST_DIGITS:
        return UNDEFINED
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        return UNDEFINED
    number = float(text)
    if not math.isfinite(number):
        return UNDEFINED
    return int(text) if text.lstrip("+-").isdecimal() else number


def _to_integer(value: Any) -> Any:
    number = _to_number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else UNDEFINED
    return number


def _to_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else UNDEFINED
    text = value.strip().lower() if isinstance(value, str) else ""
    return _BOOLEANS.get(text, UNDEFINED)


def _to_datetime(value: Any) -> Any:
    moment = read_time(value)
    return UNDEFINED if moment is None else format_time(moment)


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": _to_string,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "datetime": _to_datetime,
}
"""Converters by the name of their type. Each returns UNDEFINED if it cannot convert a value."""
