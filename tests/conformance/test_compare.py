"""Comparison: with types, with paths, with texts that show the difference."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from conformance.compare import NOTHING, Difference, differences, shown


def found(got: Any, expected: Any) -> list[str]:
    return [str(difference) for difference in differences(got, expected)]


@pytest.mark.parametrize(("one", "other"), list(combinations((1, 1.0, "1", True), 2)))
def test_types_count(one: Any, other: Any) -> None:
    """1, 1.0, "1" and true all differ, wherever they stand."""
    assert len(found({"a": [one]}, {"a": [other]})) == 1


def test_null_is_not_nothing() -> None:
    """A key with null and no key are two things."""
    assert found({"a": None}, {}) == ["a: got null, expected nothing"]
    assert found({}, {"a": None}) == ["a: got nothing, expected null"]


def test_the_order_of_keys_is_free_and_that_of_lists_is_not() -> None:
    """As JSON has it."""
    assert found({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []
    assert len(found([1, 2], [2, 1])) == 2


def test_a_list_that_is_too_long_or_too_short() -> None:
    """Each item that is missing or too much is a difference."""
    assert found([1, 2], [1]) == ["1: got 2, expected nothing"]
    assert found([1], [1, 2]) == ["1: got nothing, expected 2"]


def test_an_object_is_no_list() -> None:
    """Two kinds of container are compared as wholes."""
    assert found({"0": 1}, [1]) == ['result: got {"0":1}, expected [1]']


def test_long_texts_show_where_they_part() -> None:
    """Two texts of the same length that begin alike are told apart."""
    one, other = "a" * 1022 + "x", "a" * 1022 + "y"
    (difference,) = differences(one, other, "p")
    assert 'x" from character 992' in difference.got
    assert 'y" from character 992' in difference.expected


def test_long_values_are_cut_and_their_length_is_told() -> None:
    """A failure stays readable."""
    assert shown("v" * 1024).endswith('…" (1024 characters)')
    assert len(shown(["v"] * 1000)) < 300
    assert shown(NOTHING) == "nothing"


def test_what_json_cannot_hold_is_shown_all_the_same() -> None:
    """A request that holds nonsense must not break its own report."""
    assert shown({1, 2}) in ("[1,2]", "{1, 2}")
    assert shown(object()).startswith("<object object")


def test_a_difference_reads_in_one_line() -> None:
    """Path, got, expected."""
    assert str(Difference("a.0", "1", "2")) == "a.0: got 1, expected 2"
