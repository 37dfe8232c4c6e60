"""Slips in destinations that have no case: what the checks alone must find.

They are made in the two siblings and in the plugin that `destination-router new` writes, which
are run with no case at all: only with the limits that their case files state.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from conformance.bench import bench_for
from conformance.case import CaseSet, load_cases
from conformance.checks import Check
from conformance.compare import Difference
from conformance.mutants.mutation import Mutant, MutantError, mutated
from conformance.mutants.without_cases import amplitude, mixpanel, scaffold
from conformance.runner import run
from conformance.subject import PluginSubject

MUTANTS: Mapping[str, tuple[Mutant, ...]] = {
    "amplitude": amplitude.MUTANTS,
    "mixpanel": mixpanel.MUTANTS,
    "my-destination": scaffold.MUTANTS,
}
"""By the destination that they are made in."""

PLUGINS: Mapping[str, str] = {
    "amplitude": "amplitude_destination.plugin",
    "mixpanel": "mixpanel_destination.plugin",
    "my-destination": "my_destination.plugin",
}
"""Where each is."""


def without_cases(name: str) -> CaseSet:
    """Give what the checks need of a destination's case files, and none of the cases.

    Raises:
        MutantError: the destination is nowhere to be imported from.
    """
    spec = find_spec(PLUGINS[name].partition(".")[0])
    if spec is None or spec.origin is None:
        raise MutantError(f"{name} cannot be imported: install it, or put it on the path")
    case_set = load_cases(Path(spec.origin).parent / "cases")
    return msgspec.structs.replace(case_set, cases=())


def found_by(mutant: Mutant, name: str, case_set: CaseSet, check: Check) -> Difference | None:
    """Say what a check finds in a slip; None where it finds nothing.

    Raises:
        MutantError: the source that it changes is not there exactly once.
        PluginError: with the slip the destination does not load.
    """
    with mutated(mutant, PLUGINS[name], name) as loaded:
        return run(bench_for(PluginSubject(loaded), case_set), check).difference
