"""The measures of cost are themselves sound: each piece does its work, and growth fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import instructions
import pytest
import workloads
from instructions import Figures, check, versions


@pytest.mark.parametrize("name", workloads.WORK)
def test_each_piece_does_its_work_within_the_marks(name: str) -> None:
    """A piece that counted nothing could grow for ever."""
    begun, ended = 0, 0

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        nonlocal begun, ended
        begun += 1
        yield
        ended += 1

    work, _ = workloads.WORK[name]
    work(around, 200 if name in workloads.OFTEN else 50)
    assert (begun, ended) == (1, 1)


def test_growth_beyond_three_percent_fails() -> None:
    """What takes more than it did is named."""
    before = Figures(versions(), {"decide": 1000, "deliver": 1000})
    check(before, {"decide": 1029, "deliver": 1000})
    with pytest.raises(SystemExit, match="3%: deliver"):
        check(before, {"decide": 1029, "deliver": 1031})


def test_figures_of_other_versions_only_tell(capsys: pytest.CaptureFixture[str]) -> None:
    """Another interpreter takes other instructions for the same work."""
    before = Figures({**versions(), "python": "3.0"}, {"decide": 1000})
    check(before, {"decide": 2000})
    assert "fails nothing" in capsys.readouterr().out


def test_the_figures_in_the_repository_are_of_known_pieces() -> None:
    """A piece that was renamed would be compared with nothing."""
    kept = instructions.kept()
    assert set(kept["source"].instructions) <= set(workloads.WORK)
