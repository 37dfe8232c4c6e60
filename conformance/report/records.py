"""The report as data. `schema/report.v1.json` has its shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from conformance.bench import Bench
from conformance.case import Case, Source
from conformance.checks import Check
from conformance.runner import FAILING, NOT_APPLIED, Result, Verdict, rules
from conformance.statements import Page, State

SUITE_VERSION = "1.0"
"""The suite's version. A new case is provisional, and stable one minor version later."""

_HELD_BACK: frozenset[Result] = frozenset({"known_failure", "provisional_failure"})


class _Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all records of a report. It says how a file spells their fields."""


class Tested(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """The destination under test. `command` starts one that is a program."""

    name: str
    distribution: str
    version: str
    command: tuple[str, ...] = ()


class Failure(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """The first place that differs, and how many more there are."""

    path: str
    got: str
    expected: str
    more: int = 0


class StatementResult(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """One sentence of a page, with the cases that test it or the reason why none does."""

    number: int
    says: str
    state: State
    cases: tuple[str, ...] = ()
    excluded: str = ""


class PageResult(_Record, frozen=True, kw_only=True):
    """One page of the vendor, with the number of its statements in each state."""

    id: str
    url: str
    heading: str
    retrieved: str
    tested: int
    excluded: int
    open: int
    statements: tuple[StatementResult, ...]


class Caught(_Record, frozen=True, kw_only=True):
    """A deliberate defect, and the case or check that catches it; empty if none does."""

    id: str
    description: str
    by: str


class MutationScore(_Record, frozen=True, kw_only=True):
    """How many of a destination's deliberate defects the suite catches."""

    total: int
    caught: int
    mutants: tuple[Caught, ...]


class RuleResult(_Record, frozen=True, kw_only=True, omit_defaults=True):
    """How one case or check ended; `source` is spelt as in a case file.

    `scored` is false if it is newer than the requirements that the destination pins.
    """

    id: str
    kind: Literal["check", "case"]
    title: str
    level: Literal["core", "extended"]
    status: Literal["stable", "provisional"]
    source: dict[str, str]
    result: Result
    statement: str = ""
    scored: bool = True
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
    requirements: str | UnsetType = UNSET
    pages: tuple[PageResult, ...] | UnsetType = UNSET
    mutants: MutationScore | UnsetType = UNSET

    @property
    def percent(self) -> int:
        """The percentage of applicable cases that passed, rounded down: 100 means all."""
        applied = [r.result for r in self.results if r.scored and r.result not in NOT_APPLIED]
        return 100 * applied.count("passed") // len(applied) if applied else 0

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return sum(result.kind == "case" for result in self.results)


def build_report(bench: Bench, verdicts: Iterable[Verdict]) -> Report:
    """Make a report of the verdicts of a run."""
    by_id = {rule.id: rule for rule in rules(bench)}
    results = tuple(_result(bench, by_id[verdict.id], verdict) for verdict in verdicts)
    counted = Counter(result.result for result in results)
    tested = Tested(
        name=bench.name,
        distribution=bench.distribution,
        version=bench.version,
        command=bench.command,
    )
    return Report(
        cases_digest=bench.case_set.digest,
        destination=tested,
        capabilities=(bench.subject.capabilities or ()) if bench.subject else (),
        result=_overall(results),
        summary={name: counted[name] for name in get_args(Result)},
        results=results,
        requirements=bench.requirements.date if bench.requirements else UNSET,
        pages=tuple(map(_page, bench.pages)) or UNSET,
    )


def report_json(report: Report) -> bytes:
    """Write a report as JSON, indented, with a line end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _overall(results: Iterable[RuleResult]) -> Literal["success", "partial", "failure"]:
    """Judge the whole. A skipped or unobservable check does not count; such a case does."""
    partial = False
    for result in results:
        if result.result in FAILING:
            return "failure"
        if not result.scored:
            continue
        open_case = result.result in NOT_APPLIED and result.kind == "case"
        partial |= open_case or result.result in _HELD_BACK
    return "partial" if partial else "success"


def _page(page: Page) -> PageResult:
    return PageResult(
        id=page.id,
        url=page.url,
        heading=page.heading,
        retrieved=page.retrieved,
        tested=page.count("tested"),
        excluded=page.count("excluded"),
        open=page.count("open"),
        statements=tuple(
            StatementResult(state=told.state, **msgspec.structs.asdict(told))
            for told in page.statements
        ),
    )


def _result(bench: Bench, rule: Check | Case, verdict: Verdict) -> RuleResult:
    difference = verdict.difference
    pinned = bench.requirements
    return RuleResult(
        id=rule.id,
        kind="case" if isinstance(rule, Case) else "check",
        title=rule.title,
        level=rule.level if isinstance(rule, Case) else "core",
        status=rule.status if isinstance(rule, Case) else "stable",
        source=_source(rule.source if isinstance(rule, Case) else _contract(rule)),
        statement=rule.statement if isinstance(rule, Case) else "",
        scored=pinned is None or pinned.scores(bench.name, rule.id),
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
