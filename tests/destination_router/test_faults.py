"""How a failure is told: its type and place, a plain code, a file's problem in our own words."""

from pathlib import Path

import pytest

from destination_router.faults import file_problem, plain_code, whereabouts


def test_an_exception_is_told_by_type_and_place_alone() -> None:
    """Its words may quote a person."""
    with pytest.raises(KeyError) as raised:
        _ = dict[str, int]()["ada@example.com"]
    told = whereabouts(raised.value)
    assert told.startswith(f"KeyError at {__file__}:")
    assert "ada" not in told


def test_what_was_never_raised_has_no_place() -> None:
    """There is no line to name."""
    assert whereabouts(ValueError("x")) == "ValueError"


@pytest.mark.parametrize("code", ["Ada Lovelace", "a" * 41, "", "9lives", None, 7])
def test_what_does_not_look_like_a_code_is_not_told(code: object) -> None:
    """A label of a metric is no place for text that somebody chose."""
    assert plain_code(code) == "rejected"
    assert plain_code("missing_identity") == "missing_identity"


def test_a_file_that_is_missing_is_told_with_what_is_missing(tmp_path: Path) -> None:
    """The file, or already its folder."""
    missing = tmp_path / "router.toml"
    assert file_problem(missing, FileNotFoundError()) == f"there is no file {missing}"
    deeper = tmp_path / "etc" / "router.toml"
    assert file_problem(deeper, FileNotFoundError()) == f"there is no folder {tmp_path / 'etc'}"
