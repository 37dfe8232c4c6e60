"""The cases of the dialects: what other systems send to Heap. `test_heap.py` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.case import load_cases

FOLDER = Path(__file__).parents[2] / "conformance" / "cases" / "heap" / "dialects"


@pytest.mark.parametrize("dialect", ["segment", "segment-cloud", "rudderstack"])
def test_every_dialect_has_cases_with_a_source(dialect: str) -> None:
    """A rule that nobody can look up is a guess."""
    cases = [c for c in load_cases(FOLDER).cases if c.id.startswith(f"{dialect}/")]
    assert len(cases) >= 20
    told = [case.source for case in cases]
    assert all(source.quote or source.summary or source.decision for source in told)
