"""The words that the text, Markdown and HTML reports have in common."""

from __future__ import annotations

from collections import Counter

from conformance.report.records import Report
from conformance.runner import Result

RESULT_NAMES: dict[Result, str] = {
    "failed": "failed",
    "unexpected_pass": "unexpected pass",
    "provisional_failure": "provisional failure",
    "known_failure": "known failure",
    "skipped": "skipped",
    "passed": "passed",
}
"""How each result is called, the most urgent first."""


def headline(report: Report) -> str:
    """Say what was under test: `heap of heap-destination 0.1.0, suite 1.0: success`."""
    tested = report.destination
    origin = " ".join(part for part in (tested.distribution, tested.version) if part)
    return f"{tested.name} of {origin}, conformance suite {report.suite_version}: {report.result}"


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
    """Say why what was skipped was: `17 skipped: heap has no pack hook`."""
    reasons = Counter(result.reason for result in report.results if result.result == "skipped")
    return [f"{count} skipped: {reason}" for reason, count in reasons.items()]
