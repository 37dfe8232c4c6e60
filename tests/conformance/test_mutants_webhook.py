"""The webhook destination's cases bite: every deliberate defect of it is caught."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from conformance.case import CaseSet, load_cases
from conformance.mutants import Mutant, caught_by
from conformance.mutants.webhook import MUTANTS, PLUGIN

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / "examples" / "webhook_destination"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be installed."""
    monkeypatch.syspath_prepend(str(HOME))


@cache
def cases() -> CaseSet:
    return load_cases(HOME / "webhook_destination" / "cases")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_mutant_is_caught(mutant: Mutant) -> None:
    """A plausible defect fails at least one case or check."""
    caught = caught_by(mutant, PLUGIN, "webhook", cases())
    assert caught is not None, f"nothing catches {mutant.id}: {mutant.description}"


def test_they_are_counted() -> None:
    """Each has a name of its own, and the page says how many there are."""
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS) >= 20
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert f"{len(MUTANTS)} defects of the webhook destination" in page
    assert len(cases().cases) >= 60
