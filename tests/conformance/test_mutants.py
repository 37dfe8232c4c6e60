"""The suite bites: every deliberate defect of the Heap destination is caught."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from conformance.bench import find_cases
from conformance.case import CaseSet, load_cases
from conformance.mutants import Mutant, MutantError, caught_by, mutated
from conformance.mutants.heap import MUTANTS, PLUGIN
from destination_router.plugins.loading import load_plugin


@cache
def cases() -> CaseSet:
    folder = find_cases("heap")
    assert folder is not None
    return load_cases(folder)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_mutant_is_caught(mutant: Mutant) -> None:
    """A plausible defect fails at least one case or check."""
    missing = set(mutant.needs) - set(load_plugin("heap").capabilities)
    if missing:
        pytest.skip(f"heap has no {', '.join(missing)} hook yet")
    caught = caught_by(mutant, PLUGIN, "heap", cases())
    assert caught is not None, f"nothing catches {mutant.id}: {mutant.description}"


def test_there_are_at_least_sixty() -> None:
    """There are enough of them to mean something, each with a name of its own."""
    repeated = [name for name, count in Counter(m.id for m in MUTANTS).items() if count > 1]
    assert repeated == []
    assert len(MUTANTS) >= 60


def test_the_plugin_itself_is_not_touched() -> None:
    """A mutant is a copy: the destination that others load stays as it is."""
    before = load_plugin("heap").hook.settings_schema()
    region = next(mutant for mutant in MUTANTS if mutant.id == "settings-open")
    with mutated(region, PLUGIN, "heap") as mutant:
        assert "additionalProperties" not in mutant.hook.settings_schema()
    assert load_plugin("heap").hook.settings_schema() == before


def test_a_mutant_whose_source_is_gone_is_an_error() -> None:
    """A mutant that changes nothing would be caught by nothing; it is named."""
    stale = Mutant(id="stale", description="x", module="calls", old="no such line", new="")
    with pytest.raises(MutantError, match=r"stale: calls.py holds its source 0 times"):
        caught_by(stale, PLUGIN, "heap", cases())


def test_without_a_defect_nothing_fails() -> None:
    """The harness finds nothing in the plugin as it is, so what it finds is the defect."""
    harmless = Mutant(
        id="harmless",
        description="a comment",
        module="calls",
        old="EventMessage: TypeAlias",
        new="# a comment\nEventMessage: TypeAlias",
    )
    assert caught_by(harmless, PLUGIN, "heap", cases()) is None
