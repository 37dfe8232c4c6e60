"""The report as data: `schema/report.v1.json` says of what shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import msgspec

from conformance.bench import Bench
from conformance.case import Case, Source
from conformance.checks import Check
from conformance.runner import FAILING, Result, Verdict, rules

SUITE_VERSION = "1.0"
"""Of the suite. New cases enter as provisional and are stable one minor version later."""

_HELD_BACK: frozenset[Result] = frozenset({"known_failure", "provisional_failure"})


class _Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all records of a report have in common: how they are spelt."""


class Tested(_Record, frozen=True, kw_only=True):
    """What was under test."""

    name: str
    distribution: str
    version: str


class Failure(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """The first place that differs, and how many more there are."""

    path: str
    got: str
    expected: str
    more: int = 0


class RuleResult(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """How one case or check ended; `source` is spelt as in a case file."""

    id: str
    kind: Literal["check", "case"]
    title: str
    level: Literal["core", "extended"]
    status: Literal["stable", "provisional"]
    source: dict[str, str]
    result: Result
    reason: str = ""
    failure: Failure | None = None

    @property
    def topic(self) -> str:
        """The first part of the id: `track`."""
        return self.id.partition("/")[0]


class Report(_Record, frozen=True, kw_only=True):
    """How a destination did."""

    report_version: Literal[1] = 1
    suite_version: str = SUITE_VERSION
    cases_digest: str
    destination: Tested
    capabilities: tuple[str, ...]
    result: Literal["success", "partial", "failure"]
    summary: dict[str, int]
    results: tuple[RuleResult, ...]

    @property
    def percent(self) -> int:
        """How much of what applies is passed, rounded down: 100 means all of it."""
        applied = len(self.results) - self.summary["skipped"]
        return 100 * self.summary["passed"] // applied if applied else 0

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return sum(result.kind == "case" for result in self.results)


def build_report(bench: Bench, verdicts: Iterable[Verdict]) -> Report:
    """Put the verdicts of a run together."""
    by_id = {rule.id: rule for rule in rules(bench)}
    results = tuple(_result(by_id[verdict.id], verdict) for verdict in verdicts)
    counted = Counter(result.result for result in results)
    tested = Tested(name=bench.name, distribution=bench.distribution, version=bench.version)
    return Report(
        cases_digest=bench.case_set.digest,
        destination=tested,
        capabilities=bench.subject.plugin.capabilities if bench.subject else (),
        result=_overall(results),
        summary={name: counted[name] for name in get_args(Result)},
        results=results,
    )


def report_json(report: Report) -> bytes:
    """Write a report as JSON, indented, with a line end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _overall(results: Iterable[RuleResult]) -> Literal["success", "partial", "failure"]:
    """A check that asks for a hook the destination lacks holds nothing back; a case does."""
    partial = False
    for result in results:
        if result.result in FAILING:
            return "failure"
        skipped_case = result.result == "skipped" and result.kind == "case"
        partial |= skipped_case or result.result in _HELD_BACK
    return "partial" if partial else "success"


def _result(rule: Check | Case, verdict: Verdict) -> RuleResult:
    difference = verdict.difference
    return RuleResult(
        id=rule.id,
        kind="case" if isinstance(rule, Case) else "check",
        title=rule.title,
        level=rule.level if isinstance(rule, Case) else "core",
        status=rule.status if isinstance(rule, Case) else "stable",
        source=_source(rule.source if isinstance(rule, Case) else _contract(rule)),
        result=verdict.result,
        reason=verdict.reason,
        failure=None
        if difference is None
        else Failure(
            path=difference.path,
            got=difference.got,
            expected=difference.expected,
            more=len(verdict.others),
        ),
    )


def _contract(check: Check) -> Source:
    return Source(decision=f"the contract between destinations and hosts: {check.documented}")


def _source(source: Source) -> dict[str, str]:
    spelt: Mapping[str, str] = msgspec.structs.asdict(source)
    return {name: text for name, text in spelt.items() if text}
