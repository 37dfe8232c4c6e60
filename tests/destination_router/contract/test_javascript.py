"""Values as JavaScript writes them; the expectations are what Node prints."""

import pytest

from destination_router.contract.javascript import in_order, json_text, number_text


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (123456789012345680000.0, "123456789012345680000"),
        (2**53 + 1, "9007199254740992"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (10**400, "Infinity"),
    ],
)
def test_a_number_as_text(number: float, written: str) -> None:
    """As `String(number)`."""
    assert number_text(number) == written


def test_json_as_text() -> None:
    """As `JSON.stringify`: no blanks, whole numbers without a point, what is no number is null."""
    assert json_text({"a": [1.0, None, True, float("nan")]}) == '{"a":[1,null,true,null]}'


def test_keys_that_are_indices_come_first() -> None:
    """In the order of their numbers; the others as they were written."""
    assert list(in_order({"b": 1, "10": 2, "a": 3, "2": 4})) == ["2", "10", "b", "a"]
