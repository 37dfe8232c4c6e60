"""The report as Markdown, for a pull request or a release page."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from conformance.report.records import Report, RuleResult
from conformance.report.words import RESULT_NAMES, counts, covered, headline, open_statements, skips
from conformance.runner import NOT_APPLIED


def markdown(report: Report) -> str:
    """Write the summary, what needs attention, and a line for each topic."""
    parts = [
        f"## {headline(report)}",
        counts(report) + ".",
        *[f"- {line}" for line in skips(report)],
        *_attention(report),
        _topics(report),
        *_statements(report),
        *_mutants(report),
        f"Cases {report.cases_digest}.",
    ]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def _statements(report: Report) -> list[str]:
    if not report.pages:
        return []
    told = [f"- Open: {statement}" for statement in open_statements(report.pages)]
    return [covered(report.pages) + ".", *told]


def _mutants(report: Report) -> list[str]:
    """List which case or check catches each deliberate defect, in a folded section."""
    if not report.mutants:
        return []
    score = report.mutants
    told = f"{score.caught} of {score.total} deliberate defects are caught"
    rows = [
        f"| {one.id} | {_cell(one.description)} | {one.by or 'nothing'} |" for one in score.mutants
    ]
    table = "\n".join(("| Defect | What was done | Caught by |", "| --- | --- | --- |", *rows))
    return [f"<details><summary>{told}</summary>\n\n{table}\n\n</details>"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _attention(report: Report) -> list[str]:
    noted = [
        result
        for result in report.results
        if result.result != "passed" and result.result not in NOT_APPLIED
    ]
    return [_told(result) for result in noted]


def _told(result: RuleResult) -> str:
    name = RESULT_NAMES[result.result]
    lines = [f"### `{result.id}`: {name}", f"{result.title}."]
    source = result.source
    if "quote" in source:
        lines.append(f"> {source['quote']}\n>\n> {source['url']}, {source['retrieved']}")
    elif "summary" in source:
        lines.append(f"{source['summary']} ({source['url']}, {source['retrieved']})")
    else:
        lines.append(f"> {source.get('decision', '')}")
    if result.failure is not None:
        failure = result.failure
        path = failure.path or "result"
        lines.append(f"`{path}`: got {_code(failure.got)}, expected {_code(failure.expected)}")
    if result.reason:
        lines.append(result.reason)
    return "\n\n".join(lines)


def _code(text: str) -> str:
    """Quote as code, with more backticks than the text has in a row."""
    longest = max((len(list(run)) for mark, run in groupby(text) if mark == "`"), default=0)
    fence = "`" * (longest + 1)
    gap = " " if longest else ""
    return f"{fence}{gap}{text}{gap}{fence}"


def _topics(report: Report) -> str:
    by_topic: dict[str, Counter[str]] = {}
    for result in report.results:
        by_topic.setdefault(result.topic, Counter())[result.result] += 1
    shown = [name for name in reversed(RESULT_NAMES) if report.summary[name] or name == "passed"]
    head = ["Topic", *(RESULT_NAMES[name].capitalize() for name in shown)]
    rows = [
        [topic, *(str(counted[name]) if counted[name] else "" for name in shown)]
        for topic, counted in by_topic.items()
    ]
    rule = ["---", *("---:" for _ in shown)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
