"""The cases of the dialects: what other systems send to Heap. `test_heap.py` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.case import load_cases

FOLDER = Path(__file__).parents[2] / "conformance" / "cases" / "heap" / "dialects"
DECIDED = {
    "segment/mapping-unknown-field",
    "segment/setting-of-another-dialect",
    "rudderstack/integrations-empty-list",
    "segment/integrations-empty-list",
    "segment-cloud/integrations-empty-list",
}
"""Where the systems are silent, so that it had to be decided."""


@pytest.mark.parametrize("dialect", ["segment", "segment-cloud", "rudderstack"])
def test_every_case_of_a_dialect_has_a_source(dialect: str) -> None:
    """A rule that nobody can look up is a guess."""
    cases = [c for c in load_cases(FOLDER).cases if c.id.startswith(f"{dialect}/")]
    assert len(cases) >= 40
    decided = {case.id for case in cases if case.source.decision}
    assert decided == {name for name in DECIDED if name.startswith(f"{dialect}/")}
