"""Patterns of names with `*` for anything."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router.pipeline.globs import compile_globs


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("Paid", "Paid", True),
        ("Paid", "Paid ", False),
        ("Paid*", "Paid twice", True),
        ("*twice", "Paid twice", True),
        ("P*d*e", "Paid twice", True),
        ("P*e*d", "Paid twice", False),
        ("*", "", True),
        ("aa*aa", "aaa", False),
        ("**", "x", True),
        ("a.b*", "axb", False),
        ("a*b", "a\nb", True),
    ],
)
def test_a_star_stands_for_anything(pattern: str, name: str, *, expected: bool) -> None:
    """Nothing else has a meaning of its own."""
    assert compile_globs([pattern])(name) is expected


@given(st.lists(st.text("ab*", max_size=6), max_size=3), st.text("ab", max_size=12))
def test_it_agrees_with_a_regular_expression(patterns: list[str], name: str) -> None:
    """The one that would take as long as a sender likes."""
    parts = ["[\\s\\S]*".join(map(re.escape, pattern.split("*"))) for pattern in patterns]
    expected = any(re.fullmatch(part, name) for part in parts)
    assert compile_globs(patterns)(name) is expected
