"""The report as one static HTML file: no network, no script, readable on a phone and in the dark.

The style sheet reads the radio buttons of the filter. A browser without `:has` shows all results.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from importlib.resources import files
from itertools import groupby

from conformance.report.records import PageResult, Report, RuleResult, StatementResult
from conformance.report.words import RESULT_NAMES, counts, covered, headline, skips


def html(report: Report) -> str:
    """Write the page."""
    style = files("conformance").joinpath("report", "report.css").read_text(encoding="utf-8")
    title = f"{report.destination.name}: conformance"
    topics = [(topic, list(found)) for topic, found in groupby(report.results, lambda r: r.topic)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}{_filter_rules()}</style>
</head>
<body>
<header>
<h1>{escape(report.destination.name)}</h1>
<p class="verdict {report.result}"><strong>{report.percent}%</strong> {escape(headline(report))}</p>
<p>{escape(counts(report))}.</p>
{_list(skips(report))}{_facts(report)}
<nav aria-label="Topics">{_contents(topics)}</nav>
</header>
{_filters(report)}
<main>
{"".join(_section(topic, found) for topic, found in topics)}{_background(report)}</main>
</body>
</html>
"""


def _filters(report: Report) -> str:
    """Write the radio buttons: one for all results, and one for each kind of result."""
    named = [("all", "all", len(report.results))]
    named += [
        (result, name, report.summary[result])
        for result, name in RESULT_NAMES.items()
        if report.summary[result]
    ]
    buttons = "".join(
        f'<label><input type="radio" name="show" id="show-{key}"'
        f"{' checked' if key == 'all' else ''}> {name} <b>{count}</b></label>\n"
        for key, name, count in named
    )
    return f'<fieldset class="filter"><legend>Show</legend>\n{buttons}</fieldset>'


def _filter_rules() -> str:
    """Write rules that hide other results, and empty sections, while a button is on."""
    return "".join(
        f":root:has(#show-{result}:checked) "
        f":is(article:not(.{result}), section:not(:has(.{result}))) {{ display: none; }}\n"
        for result in RESULT_NAMES
    )


def _facts(report: Report) -> str:
    hooks = ", ".join(report.capabilities) or "none"
    return (
        f"<details><summary>What was under test</summary><dl>"
        f"<dt>Hooks</dt><dd>{escape(hooks)}</dd>"
        f"<dt>Cases</dt><dd><code>{escape(report.cases_digest)}</code></dd></dl></details>"
    )


def _contents(topics: list[tuple[str, list[RuleResult]]]) -> str:
    links = "".join(
        f'<li><a href="#{escape(topic)}">{escape(topic)}</a></li>' for topic, _ in topics
    )
    return f"<ul>{links}</ul>"


def _section(topic: str, found: list[RuleResult]) -> str:
    counted = Counter(result.result for result in found)
    told = ", ".join(
        f"{counted[result]} {name}" for result, name in RESULT_NAMES.items() if counted[result]
    )
    return (
        f'<section id="{escape(topic)}" aria-labelledby="h-{escape(topic)}">\n'
        f'<h2 id="h-{escape(topic)}">{escape(topic)} <small>{told}</small></h2>\n'
        f"{''.join(map(_article, found))}</section>\n"
    )


def _statements(report: Report) -> str:
    """Write a foldable list of statements for each page of the vendor, with open ones marked."""
    if not report.pages:
        return ""
    return (
        '<section class="statements" id="statements" aria-labelledby="h-statements">\n'
        f'<h2 id="h-statements">Statements <small>{escape(covered(report.pages))}</small></h2>\n'
        f"{''.join(map(_page, report.pages))}</section>\n"
    )


def _background(report: Report) -> str:
    return _statements(report) + _mutants(report)


def _mutants(report: Report) -> str:
    """List which case or check catches each deliberate defect. Uncaught ones come first."""
    if not report.mutants:
        return ""
    score = report.mutants
    rows = "".join(
        f'<tr class="{"passed" if one.by else "failed"}"><th scope="row">{escape(one.id)}</th>'
        f"<td>{escape(one.description)}</td>"
        f"<td>{f'<code>{escape(one.by)}</code>' if one.by else 'nothing'}</td></tr>\n"
        for one in sorted(score.mutants, key=lambda one: bool(one.by))
    )
    return (
        '<section id="mutants" aria-labelledby="h-mutants">\n<h2 id="h-mutants">Mutants '
        f"<small>{score.caught} of {score.total} deliberate defects are caught</small></h2>\n"
        '<div class="wide"><table><thead><tr><th scope="col">Defect</th><th scope="col">What was '
        'done</th><th scope="col">Caught by</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div></section>\n"
    )


def _page(page: PageResult) -> str:
    said = "".join(map(_statement, page.statements))
    return (
        f"<details{' open' if page.open else ''}><summary>{escape(page.heading)}: "
        f"{page.tested} tested, {page.excluded} excluded, {page.open} open</summary>\n"
        f'<p><a href="{escape(page.url)}">{escape(_short(page.url))}</a>, {page.retrieved}</p>\n'
        f"<ol>{said}</ol></details>\n"
    )


def _statement(statement: StatementResult) -> str:
    links = ", ".join(
        f'<a href="#{escape(case.replace("/", "--"))}"><code>{escape(case)}</code></a>'
        for case in statement.cases
    )
    told = links or escape(statement.excluded or "open: no case tests it yet")
    return (
        f'<li value="{statement.number}" class="{statement.state}">{escape(statement.says)} '
        f"<small>{told}</small></li>\n"
    )


def _article(result: RuleResult) -> str:
    marks: list[str] = [result.level] if result.kind == "case" else ["check"]
    if result.status == "provisional":
        marks.append("provisional")
    anchor = result.id.replace("/", "--")
    return (
        f'<article class="{result.result}" id="{escape(anchor)}">\n'
        f'<div class="rule"><p class="mark">{RESULT_NAMES[result.result]}</p>\n'
        f"<h3>{escape(result.title)}</h3>\n"
        f'<p class="id"><code>{escape(result.id)}</code> {escape(", ".join(marks))}</p>\n'
        f"{_failure(result)}</div>\n{_source(result)}</article>\n"
    )


def _failure(result: RuleResult) -> str:
    reason = f'<p class="reason">{escape(result.reason)}</p>\n' if result.reason else ""
    if result.failure is None:
        return reason
    failure = result.failure
    more = f"<p>and {failure.more} more</p>" if failure.more else ""
    return (
        f'{reason}<dl class="failure"><dt>at</dt><dd><code>{escape(failure.path or "result")}'
        f"</code></dd><dt>got</dt><dd><code>{escape(failure.got)}</code></dd>"
        f"<dt>expected</dt><dd><code>{escape(failure.expected)}</code></dd></dl>{more}\n"
    )


def _source(result: RuleResult) -> str:
    source = result.source
    if "url" not in source:
        decided = escape(source.get("decision", ""))
        return f'<p class="source"><span>Decided</span> {decided}</p>\n'
    url = escape(source["url"])
    said = (
        f'<blockquote cite="{url}">{escape(source["quote"])}</blockquote>'
        if "quote" in source
        else f"<p>{escape(source.get('summary', ''))}</p>"
    )
    return (
        f'<figure class="source">{said}'
        f'<figcaption><a href="{url}">{escape(_short(source["url"]))}</a>, '
        f'<time datetime="{escape(source["retrieved"])}">{escape(source["retrieved"])}</time>'
        "</figcaption></figure>\n"
    )


def _short(url: str) -> str:
    return url.removeprefix("https://").rstrip("/")


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>\n" if items else ""
