"""Runs cases and checks against a destination, and reports how each ended.

A failure has three lines: the case and its rule; where the rule is documented; and the path that
differs, with the actual and the expected value. A last line says how to run it again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from conformance import echo
from conformance.bench import Bench
from conformance.case import Case
from conformance.checks import CHECKS, Check
from conformance.checks.check import Bed
from conformance.compare import Difference
from conformance.expectation import broken_hook
from conformance.expectation import case_differences as _case_differences
from conformance.known import NONE_KNOWN, KnownFailure
from conformance.subject import PluginSubject, Subject, Unobservable

Result: TypeAlias = Literal[
    "passed",
    "failed",
    "skipped",
    "unobservable",
    "provisional_failure",
    "known_failure",
    "unscored_failure",
    "unexpected_pass",
]
"""How a case or check ended. Only `failed` and `unexpected_pass` fail the suite.

`skipped` does not apply to the destination. `unobservable` applies but cannot be seen.
"""

FAILING: frozenset[Result] = frozenset({"failed", "unexpected_pass"})

NOT_APPLIED: frozenset[Result] = frozenset({"skipped", "unobservable"})
"""Results that say neither that a rule is kept nor that it is broken."""

_COUNTED = 100


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How one case or check ended.

    Attributes:
        id: the case's or check's.
        result: how it ended.
        difference: the first place that differs, for a failure.
        others: the other places that differ.
        reason: why it was skipped or cannot be seen, or why its failure is known.
    """

    id: str
    result: Result
    difference: Difference | None = None
    others: tuple[Difference, ...] = ()
    reason: str = ""


def run_all(
    bench: Bench, known: Mapping[str, KnownFailure] = NONE_KNOWN, only: str | None = None
) -> Iterator[Verdict]:
    """Run every check and every case, in that order.

    Args:
        bench: the destination and its cases.
        known: failures that are known, by id.
        only: the one case or check to run, if not all.
    """
    for rule in rules(bench):
        if only is None or rule.id == only:
            yield run(bench, rule, known)


def rules(bench: Bench) -> tuple[Check | Case, ...]:
    """List all rules to run: the checks, then the cases."""
    return (*CHECKS, *bench.case_set.cases)


def run(
    bench: Bench, rule: Check | Case, known: Mapping[str, KnownFailure] = NONE_KNOWN
) -> Verdict:
    """Run one case or check, and see whether its failure is known."""
    if bench.subject is None:
        if rule is CHECKS[0]:
            broken = Difference("entry point", bench.load_error, "a destination that loads")
            return Verdict(id=rule.id, result="failed", difference=broken)
        return Verdict(id=rule.id, result="skipped", reason="the destination does not load")
    if isinstance(rule, Case):
        verdict = run_case(bench.subject, rule)
    else:
        verdict = run_check(bench, bench.subject, rule)
    return _scored(bench, judge(verdict, known.get(rule.id)))


def _scored(bench: Bench, verdict: Verdict) -> Verdict:
    """Let a failure pass if its rule is newer than the requirements that the destination pins."""
    pinned = bench.requirements
    if verdict.result != "failed" or pinned is None or pinned.scores(bench.name, verdict.id):
        return verdict
    reason = f"it came after the requirements of {pinned.date}"
    return msgspec.structs.replace(verdict, result="unscored_failure", reason=reason)


def run_case(subject: Subject, case: Case) -> Verdict:
    """Run one case."""
    if skipped := _without(subject, case.id, case.required_hooks):
        return skipped
    failure: Result = "failed" if case.status == "stable" else "provisional_failure"
    try:
        return _verdict(case.id, _case_differences(subject, case), failure)
    except Unobservable as hidden:
        return _hidden(case.id, str(hidden))


def run_check(bench: Bench, subject: Subject, check: Check) -> Verdict:
    """Run one check."""
    if check.vendor and bench.name == echo.NAME:
        reason = "the router's own destination sends to no vendor"
        return Verdict(id=check.id, result="skipped", reason=reason)
    if skipped := _without(subject, check.id, check.needs):
        return skipped
    if hidden := subject.unobservable(check.id):
        return _hidden(check.id, hidden)
    if not isinstance(subject, PluginSubject):
        return _hidden(check.id, f"{subject.name} shows only what it makes of a case")
    try:
        return _verdict(check.id, _check_differences(check, Bed(bench=bench, subject=subject)))
    except Unobservable as unseen:
        return _hidden(check.id, str(unseen))


def asked_by(bench: Bench) -> str:
    """Write a destination as on a command line: its name, or the command that starts it."""
    if bench.transformer:
        return f"--transformer {shlex.quote(bench.transformer)} --type {bench.name.upper()}"
    if not bench.command:
        return bench.name
    return f"--command {shlex.quote(shlex.join(bench.command))}"


def failure_text(
    verdict: Verdict, rule: Check | Case, destination: str, *, whole: bool = False
) -> str:
    """Write a failure: rule, source, difference, and the command that runs it again.

    If several places differ, `whole` lists all of them. `destination` is as `asked_by` writes it.
    """
    documented = rule.source if isinstance(rule, Case) else f"documented: {rule.documented}"
    if whole:
        more = "".join(f"\n  {other}" for other in verdict.others)
    else:
        more = f" (and {len(verdict.others)} more)" if verdict.others else ""
    reason = "" if verdict.difference else verdict.reason
    return (
        f"{verdict.id}: {rule.title}\n"
        f"  {documented}\n"
        f"  {verdict.difference or reason}{more}\n"
        f"  rerun: destination-router conformance {destination} --case {verdict.id}"
    )


def judge(verdict: Verdict, known: KnownFailure | None) -> Verdict:
    """Apply the known failures: one that fails is accepted, and one that passes is a failure."""
    if known is None or verdict.result in NOT_APPLIED:
        return verdict
    because = f"{known.reason} ({known.link})"
    if verdict.result == "passed":
        reason = f"it passes, but is listed as a known failure: {because}; take it off the list"
        return Verdict(id=verdict.id, result="unexpected_pass", reason=reason)
    return msgspec.structs.replace(verdict, result="known_failure", reason=because)


def _without(subject: Subject, rule_id: str, hooks: Sequence[str]) -> Verdict | None:
    if subject.capabilities is None:
        return None
    missing = [hook for hook in hooks if hook not in subject.capabilities]
    if not missing:
        return None
    reason = f"{subject.name} has no {' and no '.join(missing)} hook"
    return Verdict(id=rule_id, result="skipped", reason=reason)


def _hidden(rule_id: str, reason: str) -> Verdict:
    return Verdict(id=rule_id, result="unobservable", reason=reason)


def _verdict(rule_id: str, found: Iterator[Difference], failure: Result = "failed") -> Verdict:
    places = list(islice(found, _COUNTED))
    if not places:
        return Verdict(id=rule_id, result="passed")
    return Verdict(id=rule_id, result=failure, difference=places[0], others=tuple(places[1:]))


def _check_differences(check: Check, bed: Bed) -> Iterator[Difference]:
    try:
        yield from check.run(bed)
    except Unobservable:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a plugin raises is a failed check
        yield broken_hook(error)
