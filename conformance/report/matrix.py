"""Many reports as one page: destinations, their pages and their versions, side by side.

The page is static: no network, no script. Each report's own page and badge lie beside it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import msgspec

from conformance.report.badge import badge
from conformance.report.html import html
from conformance.report.records import PageResult, Report
from conformance.runner import NOT_APPLIED

_NONE = "none"
"""The cell for a report that says nothing."""


class ReportError(ValueError):
    """A file that is not a report of this suite. The text names it and says why."""


def read_report(path: Path) -> Report:
    """Read a report as `--json` writes it.

    Raises:
        ReportError: it cannot be read, or is no report.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ReportError(f"{path} is no conformance report: {error}") from error


def write_site(reports: Iterable[Report], folder: Path) -> None:
    """Write `index.html`, and for each report its page and its badge.

    Raises:
        ReportError: two reports are of the same version of the same destination.
        OSError: a file cannot be written.
    """
    ordered = sorted(reports, key=_order)
    names = [_file(report) for report in ordered]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ReportError(f"two reports are of {', '.join(twice)}: give one of them")
    folder.mkdir(parents=True, exist_ok=True)
    for report, name in zip(ordered, names, strict=True):
        (folder / f"{name}.html").write_text(html(report), encoding="utf-8")
        (folder / f"{name}.svg").write_text(badge(report), encoding="utf-8")
    (folder / "index.html").write_text(matrix(ordered), encoding="utf-8")


def matrix(reports: Sequence[Report]) -> str:
    """Draw the page of all reports."""
    style = files("conformance").joinpath("report", "report.css").read_text(encoding="utf-8")
    ordered = sorted(reports, key=_order)
    apart = [list(found) for _, found in groupby(ordered, lambda r: r.destination.name)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Conformance of destinations</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>Conformance of destinations</h1>
<p>Which documented rules each destination keeps, by the same suite.</p>
</header>
<main>
<section aria-labelledby="h-all"><h2 id="h-all">Destinations</h2>
{_overview(ordered)}</section>
{"".join(map(_of_destination, apart))}{_reproduce(ordered)}</main>
</body>
</html>
"""


def _overview(reports: Sequence[Report]) -> str:
    head = (
        "Destination",
        "Version",
        "Result",
        "Passed",
        "Checks",
        "Cases",
        "Statements tested",
        "Open",
        "Mutants caught",
        "Suite",
    )
    rows = [
        (
            f'<a href="{escape(_file(report))}.html">{escape(report.destination.name)}</a>',
            escape(f"{report.destination.distribution} {report.destination.version}".strip()),
            f'<span class="{report.result}"><strong>{report.result}</strong></span>',
            f"{report.percent}%",
            _passed(report, "check"),
            _passed(report, "case"),
            _statements(report),
            str(sum(page.open for page in report.pages)) if report.pages else _NONE,
            f"{report.mutants.caught} of {report.mutants.total}" if report.mutants else _NONE,
            escape(_suite(report)),
        )
        for report in reports
    ]
    return _table(head, rows)


def _passed(report: Report, kind: str) -> str:
    found = [r.result for r in report.results if r.kind == kind and r.scored]
    applied = [result for result in found if result not in NOT_APPLIED]
    told = f"{applied.count('passed')} of {len(applied)}"
    rest = [f"{found.count(name)} {name}" for name in sorted(NOT_APPLIED) if name in found]
    return ", ".join((told, *rest))


def _statements(report: Report) -> str:
    if not report.pages:
        return _NONE
    tested = sum(page.tested for page in report.pages)
    return f"{tested} of {sum(page.tested + page.open for page in report.pages)}"


def _of_destination(versions: Sequence[Report]) -> str:
    """Draw one destination: a row for each page or topic, and a column for each version."""
    name = versions[0].destination.name
    anchor = escape(_slug(name))
    head = ("Page" if versions[-1].pages else "Topic", *map(_version, versions))
    rows = _page_rows(versions) if versions[-1].pages else _topic_rows(versions)
    return (
        f'<section id="{anchor}" aria-labelledby="h-{anchor}">'
        f'<h2 id="h-{anchor}">{escape(name)}</h2>\n{_table(head, rows)}</section>\n'
    )


def _page_rows(versions: Sequence[Report]) -> list[tuple[str, ...]]:
    """Count, for each page, the tested statements whose cases all pass."""
    pages = {page.id: page for report in versions for page in report.pages or ()}
    return [
        (
            f'<a href="{escape(page.url)}">{escape(page.heading)}</a>',
            *(_kept(report, page.id) for report in versions),
        )
        for page in pages.values()
    ]


def _kept(report: Report, page_id: str) -> str:
    page = next((page for page in report.pages or () if page.id == page_id), None)
    return _NONE if page is None else _told(report, page)


def _told(report: Report, page: PageResult) -> str:
    results = {result.id: result.result for result in report.results}
    tested = [told for told in page.statements if told.state == "tested"]
    kept = sum(all(results.get(case) == "passed" for case in told.cases) for told in tested)
    told = f"{kept} of {len(tested)}" if tested else "none tested"
    rest = [f"{page.excluded} excluded"] if page.excluded else []
    rest += [f"{page.open} open"] if page.open else []
    mark = "success" if kept == len(tested) else "failure"
    return f'<span class="{mark}"><strong>{", ".join((told, *rest))}</strong></span>'


def _topic_rows(versions: Sequence[Report]) -> list[tuple[str, ...]]:
    topics = dict.fromkeys(result.topic for report in versions for result in report.results)
    return [(escape(topic), *(_topic(report, topic) for report in versions)) for topic in topics]


def _topic(report: Report, topic: str) -> str:
    found = [r.result for r in report.results if r.topic == topic and r.result not in NOT_APPLIED]
    return f"{found.count('passed')} of {len(found)}" if found else _NONE


def _reproduce(reports: Sequence[Report]) -> str:
    told = "".join(
        f"<dt>{escape(report.destination.name)} {escape(report.destination.version)}</dt>"
        f"<dd><pre><code>{escape(_commands(report))}</code></pre>"
        f"<p>Cases <code>{escape(report.cases_digest)}</code></p></dd>\n"
        for report in reports
    )
    return (
        '<section id="reproduce" aria-labelledby="h-reproduce">'
        f'<h2 id="h-reproduce">How to reproduce</h2>\n<dl>{told}</dl></section>\n'
    )


def _commands(report: Report) -> str:
    tested = report.destination
    pinned = f" --requirements {shlex.quote(report.requirements)}" if report.requirements else ""
    if tested.command:
        command = shlex.quote(shlex.join(tested.command))
        return f"destination-router conformance --command {command}{pinned} --json report.json"
    installed = shlex.quote(f"{tested.distribution}=={tested.version}")
    run = f"destination-router conformance {shlex.quote(tested.name)}{pinned} --json report.json"
    return f"pip install {installed}\n{run}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a table of cells that are HTML already."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>\n"
    )


def _suite(report: Report) -> str:
    pinned = f", {report.requirements}" if report.requirements else ""
    return f"{report.suite_version}{pinned}"


def _version(report: Report) -> str:
    return f"{report.destination.version or 'no version'} (suite {_suite(report)})"


def _file(report: Report) -> str:
    pinned = f"-{report.requirements}" if report.requirements else ""
    return _slug(f"{report.destination.name}-{report.destination.version}{pinned}")


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "report"


def _order(report: Report) -> tuple[str, list[tuple[int, int, str]]]:
    """Order reports by name, then by version: 0.9 before 0.10."""
    parts = re.findall(r"\d+|[a-z]+", report.destination.version)
    return report.destination.name, [
        (1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts
    ]
