"""The words that the text, Markdown and HTML reports have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from conformance.report.records import PageResult, Report
from conformance.runner import NOT_APPLIED, Result

RESULT_NAMES: dict[Result, str] = {
    "failed": "failed",
    "unexpected_pass": "unexpected pass",
    "provisional_failure": "provisional failure",
    "known_failure": "known failure",
    "unscored_failure": "unscored failure",
    "unobservable": "unobservable",
    "skipped": "skipped",
    "passed": "passed",
}
"""The name of each result, the most urgent first."""


def headline(report: Report) -> str:
    """Name the destination under test: `heap of heap-destination 0.1.0, suite 1.0: success`."""
    tested = report.destination
    origin = " ".join(part for part in (tested.distribution, tested.version) if part)
    suite = f"conformance suite {report.suite_version}"
    if report.requirements:
        suite += f", requirements of {report.requirements}"
    return f"{tested.name} of {origin}, {suite}: {report.result}"


def counts(report: Report) -> str:
    """Say how many ended how: `330 cases and 22 checks: 325 passed, 27 skipped`."""
    told = ", ".join(
        f"{report.summary[result]} {name}"
        for result, name in reversed(RESULT_NAMES.items())
        if report.summary[result] or result == "passed"
    )
    checks = len(report.results) - report.cases
    return f"{_several(report.cases, 'case')} and {_several(checks, 'check')}: {told}"


def _several(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def skips(report: Report) -> list[str]:
    """Say why rules were skipped or cannot be seen: `17 skipped: heap has no pack hook`."""
    reasons = Counter(
        (result.result, result.reason) for result in report.results if result.result in NOT_APPLIED
    )
    return [f"{count} {name}: {reason}" for (name, reason), count in reasons.items()]


def covered(pages: Iterable[PageResult]) -> str:
    """Say how much of what the vendor's pages say is tested."""
    pages = list(pages)
    tested, excluded, still_open = (
        sum(getattr(page, state) for page in pages) for state in ("tested", "excluded", "open")
    )
    total = tested + excluded + still_open
    return (
        f"{total} statements of {_several(len(pages), 'page')}: {tested} tested, "
        f"{excluded} excluded with a reason, {still_open} open"
    )


def open_statements(pages: Iterable[PageResult]) -> Iterator[str]:
    """List what nothing tests yet: `identify-1/4: timestamp may say when it happened.`."""
    for page in pages:
        for statement in page.statements:
            if statement.state == "open":
                yield f"{page.id}/{statement.number}: {statement.says}"
