"""Known failures: read from pyproject.toml, each with a reason and a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.known import KnownFailureError, load_known_failures

ENTRY = """
[[tool.destination_router.conformance.known_failures]]
id = "track/a"
reason = "not yet"
link = "https://example.com/7"
"""


def listed(tmp_path: Path, text: str, destination: str = "small") -> list[str]:
    path = tmp_path / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return sorted(load_known_failures(path, destination, {"track/a", "track/b"}))


def test_no_file_no_failures(tmp_path: Path) -> None:
    """Most destinations have nothing to list."""
    assert load_known_failures(tmp_path / "pyproject.toml", "small", set()) == {}
    assert listed(tmp_path, "[tool.other]") == []


def test_an_entry_counts_for_its_destination(tmp_path: Path) -> None:
    """Where several destinations are tested, an entry says whose it is."""
    assert listed(tmp_path, ENTRY) == ["track/a"]
    mine = ENTRY + 'destination = "small"\n'
    assert listed(tmp_path, mine) == ["track/a"]
    assert listed(tmp_path, mine, "another") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ENTRY.replace("not yet", " "), "give a reason, and a link"),
        (ENTRY.replace("https://example.com/7", "#7"), "give a reason, and a link"),
        (ENTRY.replace("reason", "because"), "known_failures: "),
        (
            ENTRY.replace("track/a", "track/z") + 'destination = "small"\n',
            "track/z: there is no such case; take it off the list",
        ),
        (ENTRY.replace("track/a", "track/z"), "track/z: there is no such case"),
        ("[tool", "pyproject.toml is not TOML: "),
    ],
)
def test_a_list_that_is_not_true_is_an_error(tmp_path: Path, text: str, told: str) -> None:
    """A failure without a reason, or of nothing, is no known failure."""
    with pytest.raises(KnownFailureError, match=told):
        listed(tmp_path, text)
