"""The checks bite without any case: each deliberate defect fails the check that is named."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from conformance.bench import bench_for
from conformance.case import CaseSet
from conformance.checks import CHECKS
from conformance.mutants import Mutant, mutated
from conformance.mutants.without_cases import MUTANTS, PLUGINS, found_by, without_cases
from conformance.runner import FAILING, run
from conformance.subject import PluginSubject

ROOT = Path(__file__).parent.parent.parent
HOMES = (
    ROOT / "examples" / "amplitude_destination",
    ROOT / "examples" / "mixpanel_destination",
    ROOT / "destination_router" / "scaffold" / "my-destination",
)
ALL = [(name, mutant) for name, mutants in MUTANTS.items() for mutant in mutants]
BY_ID = {check.id: check for check in CHECKS}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """They need not be installed."""
    for home in HOMES:
        monkeypatch.syspath_prepend(str(home))


@cache
def case_set(name: str) -> CaseSet:
    return without_cases(name)


@pytest.mark.parametrize(
    ("name", "mutant"), ALL, ids=[f"{name}-{mutant.id}" for name, mutant in ALL]
)
def test_a_defect_is_found_without_a_case(name: str, mutant: Mutant) -> None:
    """The check that is said to catch it does."""
    assert case_set(name).cases == ()
    assert found_by(mutant, name, case_set(name), BY_ID[mutant.check]) is not None


@pytest.mark.parametrize("name", MUTANTS)
def test_without_a_defect_no_check_fails(name: str) -> None:
    """What the checks find is the defect."""
    nothing = Mutant(id="nothing", description="no slip", repack=lambda requests: requests)
    if name == "my-destination":  # it has no pack to wrap
        nothing = Mutant(
            id="nothing",
            description="a comment",
            module="plugin",
            old="\nAPI =",
            new="\n# x\nAPI =",
        )
    with mutated(nothing, PLUGINS[name], name) as loaded:
        bench = bench_for(PluginSubject(loaded), case_set(name))
        failed = [check.id for check in CHECKS if run(bench, check).result in FAILING]
    assert failed == []


def test_there_are_at_least_forty() -> None:
    """In three destinations, each with a name of its own, and caught by many checks."""
    assert len({(name, mutant.id) for name, mutant in ALL}) == len(ALL) >= 40
    assert len({mutant.check for _, mutant in ALL}) >= 10
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert f"{len(ALL)} defects of other destinations" in page
