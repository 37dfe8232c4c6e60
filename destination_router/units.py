"""Durations and sizes as people write them: `250ms`, `30s`, `12h`; `64MB`, `10GB`."""

from __future__ import annotations

import re

from destination_router.contract.records import Json

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


def _pattern(**digits: int) -> str:
    """Write a pattern of amounts, with the most digits for each unit."""
    amounts = (rf"[0-9]{{1,{most}}}(\.[0-9]{{1,9}})?{unit}" for unit, most in digits.items())
    return f"^({'|'.join(amounts)})$"


# Three centuries and nine petabytes are enough, and nothing that counts with them overflows.
DURATION: dict[str, Json] = {
    "type": ["number", "string"],
    "minimum": 0,
    "maximum": 9_999_999_999,
    "pattern": _pattern(ms=13, s=10, m=8, h=6, d=5),
    "description": "Write a number of seconds, or 250ms, 30s, 5m, 12h, 7d.",
}
"""A duration, as JSON Schema."""

SIZE: dict[str, Json] = {
    "type": ["integer", "string"],
    "minimum": 0,
    "maximum": 9_999_999_999_999_999,
    "pattern": _pattern(B=16, KB=13, MB=10, GB=7, TB=4),
    "description": "Write a number of bytes, or 64MB, 10GB; 1KB is 1024 bytes.",
}
"""A size, as JSON Schema."""

_AMOUNT = re.compile(r"([0-9.]+)([A-Za-z]+)")


def seconds(value: Json) -> float:
    """Read a duration that satisfies `DURATION`.

    Raises:
        ValueError: it does not.
    """
    return _amount(value, DURATION, _SECONDS)


def size_in_bytes(value: Json) -> int:
    """Read a size that satisfies `SIZE`.

    Raises:
        ValueError: it does not.
    """
    return round(_amount(value, SIZE, _BYTES))


def _amount(
    value: Json, schema: dict[str, Json], units: dict[str, float] | dict[str, int]
) -> float:
    if not isinstance(value, str):
        return float(value)
    found = _AMOUNT.fullmatch(value)
    if found is None or not re.search(schema["pattern"], value):
        raise ValueError(f"not an amount in {', '.join(units)}")
    return float(found[1]) * units[found[2]]
