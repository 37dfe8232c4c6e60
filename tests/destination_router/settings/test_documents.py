"""TOML and JSON within bounds: what is beyond them is told, by its place, and never raised.

What every command says of such files: `commands/test_hostile_files.py`.
"""

import math
from typing import Any

import pytest

from destination_router.settings.documents import (
    DEEPEST,
    DocumentError,
    number_problems,
    out_of_bounds,
    parse_json,
    parse_toml,
)
from destination_router.settings.errors import Problem


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_as_many_levels_as_are_allowed_are_read() -> None:
    """One more is told, with the beginning of its path."""
    assert out_of_bounds(nested(DEEPEST)) is None
    assert out_of_bounds({"a": nested(DEEPEST)}) == Problem(
        "a.0.0.0.0", "is nested deeper than 100 levels"
    )


def test_whole_numbers_of_64_bits_are_read() -> None:
    """What TOML promises; Python could not even print some that it reads."""
    assert parse_toml(f"a = [{2**63 - 1}, {-(2**63)}]") == {"a": [2**63 - 1, -(2**63)]}
    for beyond in (2**63, -(2**63) - 1):
        with pytest.raises(DocumentError, match="more than 64 bits, at a"):
            parse_json(f'{{"a": {beyond}}}')


def test_numbers_that_are_none_are_told_by_their_paths() -> None:
    """All of them, in order."""
    content = {"a": [1.5, math.nan], "b": {"c": -math.inf, "d": True}}
    assert [str(problem) for problem in number_problems(content)] == [
        "a.1: must be a finite number",
        "b.c: must be a finite number",
    ]
