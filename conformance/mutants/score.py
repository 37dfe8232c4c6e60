"""The mutation score: how many of the deliberate defects of a destination the suite catches."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.bench import find_cases
from conformance.case import load_cases
from conformance.checks import CHECKS
from conformance.mutants import heap, webhook
from conformance.mutants.mutation import Mutant, MutantError, caught_by
from conformance.mutants.without_cases import MUTANTS, found_by, without_cases
from conformance.report.records import Caught, MutationScore

WITH_CASES: Mapping[str, tuple[tuple[Mutant, ...], str]] = {
    "heap": (heap.MUTANTS, heap.PLUGIN),
    "webhook": (webhook.MUTANTS, webhook.PLUGIN),
}
"""Defects that cases or checks must catch, and what they are made in, by the destination."""


def mutation_score(name: str) -> MutationScore:
    """Apply every defect of a destination.

    Those of Heap and the webhook are held to their cases and the checks; those of the others to the
    checks alone.

    Raises:
        MutantError: there are no defects of this destination, or one cannot be applied.
    """
    if name in WITH_CASES:
        found = _by_cases(name)
    elif name in MUTANTS:
        found = _by_checks(name)
    else:
        known = ", ".join((*WITH_CASES, *MUTANTS))
        raise MutantError(f"there are no mutants of {name}; there are of {known}")
    caught = sum(bool(one.by) for one in found)
    return MutationScore(total=len(found), caught=caught, mutants=tuple(found))


def _by_cases(name: str) -> list[Caught]:
    folder = find_cases(name)
    if folder is None:
        raise MutantError(f"there are no cases of {name}")
    cases = load_cases(folder)
    mutants, plugin = WITH_CASES[name]
    return [
        Caught(
            id=mutant.id,
            description=mutant.description,
            by=caught_by(mutant, plugin, name, cases) or "",
        )
        for mutant in mutants
    ]


def _by_checks(name: str) -> list[Caught]:
    cases = without_cases(name)
    checks = {check.id: check for check in CHECKS}
    return [
        Caught(
            id=mutant.id,
            description=mutant.description,
            by=mutant.check if found_by(mutant, name, cases, checks[mutant.check]) else "",
        )
        for mutant in MUTANTS[name]
    ]
