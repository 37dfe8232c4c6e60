"""Durations and sizes as people write them: `250ms`, `30s`, `12h`; `64MB`, `10GB`."""

from __future__ import annotations

import re

from destination_router.contract.records import Json

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_AMOUNT = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)$")

DURATION: dict[str, Json] = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$",
    "description": "Write a number of seconds, or 250ms, 30s, 5m, 12h, 7d.",
}
"""A duration, as JSON Schema."""

SIZE: dict[str, Json] = {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(B|KB|MB|GB|TB)$",
    "description": "Write a number of bytes, or 64MB, 10GB; 1KB is 1024 bytes.",
}
"""A size, as JSON Schema."""


def seconds(value: Json) -> float:
    """Read a duration that satisfies `DURATION`."""
    return _amount(value, _SECONDS)


def size_in_bytes(value: Json) -> int:
    """Read a size that satisfies `SIZE`."""
    return round(_amount(value, _BYTES))


def _amount(value: Json, units: dict[str, float] | dict[str, int]) -> float:
    if not isinstance(value, str):
        return float(value)
    found = _AMOUNT.match(value)
    if found is None or found[2] not in units:
        raise ValueError(f"not an amount in {', '.join(units)}")
    return float(found[1]) * units[found[2]]
