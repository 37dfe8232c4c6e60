"""The Heap destination passes the cases of every dialect: what other systems send to Heap."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import DestinationSuite
from conformance.case import load_cases

FOLDER = Path(__file__).parents[2] / "conformance" / "cases" / "heap" / "dialects"


class TestDialects(DestinationSuite):
    destination = "heap"
    cases = str(FOLDER)
    settings = {"appId": "11"}  # noqa: RUF012 -- the suite's own way
    test_check = None  # of the destination itself, in test_heap.py


@pytest.mark.parametrize("dialect", ["segment", "segment-cloud", "rudderstack"])
def test_every_dialect_has_cases_with_a_source(dialect: str) -> None:
    """A rule that nobody can look up is a guess."""
    cases = [c for c in load_cases(FOLDER).cases if c.id.startswith(f"{dialect}/")]
    assert len(cases) >= 20
    assert all(case.source.quote or case.source.decision for case in cases)
