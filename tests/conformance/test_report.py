"""Reports: one set of results; JSON, Markdown, HTML and badge that agree on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree as ET

import msgspec
import pytest
from jsonschema import Draft202012Validator

from conformance.bench import Bench
from conformance.case import Case, CaseSet, read_cases
from conformance.compare import Difference
from conformance.report import Report, badge, build_report, html, markdown, records, report_json
from conformance.runner import Result, Verdict

MakeBench = Callable[..., Bench]


def cases(count: int) -> CaseSet:
    document = {
        "defaults": {
            "source": {
                "url": "https://example.com/a?b=1&c=2",
                "quote": "<b>“word” for `word`</b>",
                "retrieved": "2026-11-22",
            }
        },
        "cases": [
            {
                "id": f"topic/rule-{index}",
                "title": f"Rule {index} & <others>",
                "status": "stable",
                "level": "core",
                "message": {"type": "track"},
                "expect": {"ignored": True},
            }
            for index in range(count)
        ],
    }
    return read_cases({"topic.json": json.dumps(document).encode()})


def verdict(case: Case, result: Result) -> Verdict:
    if result.endswith(("failed", "_failure")):
        difference = Difference("requests.0.json.a", '"`<a>`"', "1")
        return Verdict(id=case.id, result=result, difference=difference, others=(difference,) * 2)
    reason = {
        "skipped": "small has no pack hook",
        "unobservable": "small runs elsewhere",
        "unexpected_pass": "it passes",
    }.get(result, "")
    return Verdict(id=case.id, result=result, reason=reason)


@pytest.fixture
def report(make_bench: MakeBench) -> Callable[..., Report]:
    def build(*results: Result) -> Report:
        case_set = cases(len(results))
        verdicts = map(verdict, case_set.cases, results)
        return build_report(make_bench(case_set), verdicts)

    return build


BuildReport = Callable[..., Report]
ALL: tuple[Result, ...] = (
    "passed",
    "failed",
    "skipped",
    "unobservable",
    "provisional_failure",
    "known_failure",
    "unscored_failure",
    "unexpected_pass",
)


@pytest.mark.parametrize(
    ("results", "overall"),
    [
        (("passed", "passed"), "success"),
        (("passed", "skipped"), "partial"),
        (("passed", "unobservable"), "partial"),
        (("passed", "known_failure"), "partial"),
        (("passed", "provisional_failure"), "partial"),
        (("passed", "failed"), "failure"),
        (("passed", "unexpected_pass"), "failure"),
        (("known_failure", "failed"), "failure"),
    ],
)
def test_overall(report: BuildReport, results: tuple[Result, ...], overall: str) -> None:
    """success, partial, failure: nothing is passed off as more than it is."""
    assert report(*results).result == overall


@pytest.mark.parametrize(
    ("results", "percent"),
    [
        (("passed",) * 199 + ("failed",), 99),
        (("passed",) * 200, 100),
        (("passed",) * 2 + ("failed",), 66),
        (("passed", "skipped"), 100),
        (("passed", "unobservable"), 100),
        (("skipped",), 0),
    ],
)
def test_the_badge_is_rounded_down(
    report: BuildReport, results: tuple[Result, ...], percent: int
) -> None:
    """199 of 200 are 99%, and what does not apply does not count."""
    svg = ET.fromstring(badge(report(*results)))
    texts = [element.text for element in svg.iter() if element.tag.endswith("}text")]
    assert texts == ["conformance", f"{percent}%"]
    assert svg.attrib["aria-label"].startswith(f"conformance: {percent}% (small, suite ")


def test_the_json_keeps_to_its_schema(report: BuildReport) -> None:
    """With every kind of result in it."""
    schema = files("conformance").joinpath("schema", "report.v1.json").read_bytes()
    told = json.loads(report_json(report(*ALL)))
    Draft202012Validator(json.loads(schema)).validate(told)
    assert told["summary"] == dict.fromkeys(ALL, 1)
    assert told["results"][1]["failure"] == {
        "path": "requests.0.json.a",
        "got": '"`<a>`"',
        "expected": "1",
        "more": 2,
    }


def test_the_same_results_make_the_same_report(report: BuildReport) -> None:
    """It holds no time and no chance."""
    assert report_json(report(*ALL)) == report_json(report(*ALL))


def test_markdown_shows_what_needs_attention(report: BuildReport) -> None:
    """Each failure with its quote; what passes is counted only."""
    text = markdown(report(*ALL))
    assert "### `topic/rule-1`: failed" in text
    assert "> https://example.com/a?b=1&c=2, 2026-11-22" in text
    assert '`requests.0.json.a`: got `` "`<a>`" ``, expected `1`' in text
    assert "### `topic/rule-0`" not in text
    assert "- 1 skipped: small has no pack hook" in text
    assert "- 1 unobservable: small runs elsewhere" in text


class _Page(HTMLParser):
    """What a page holds: its elements with their attributes, and whether they are balanced."""

    VOID = frozenset({"meta", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(report: BuildReport) -> _Page:
    parsed = _Page()
    parsed.feed(html(report(*ALL)))
    parsed.close()
    return parsed


def test_the_page_is_well_formed(page: _Page) -> None:
    """Every element is closed, every id is its own, and nothing of a case breaks out."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert page.open == []
    assert len(set(ids)) == len(ids)
    assert "b" not in [tag for tag, attributes in page.elements if attributes.get("class")]
    assert [tag for tag, _ in page.elements].count("others") == 0


def test_the_page_needs_no_network_and_no_script(page: _Page) -> None:
    """It can be mailed, kept, and opened without a connection."""
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not any("src" in attributes for _, attributes in page.elements)
    style = files("conformance").joinpath("report", "report.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_has_a_filter_for_each_result(page: _Page) -> None:
    """Radio buttons with labels, in a group with a name."""
    shown = [a["id"] for tag, a in page.elements if tag == "input" and a.get("type") == "radio"]
    assert set(shown) == {"show-all", *(f"show-{result}" for result in ALL)}
    assert {"fieldset", "legend", "label"} <= {tag for tag, _ in page.elements}


def test_the_page_quotes_beside_each_case(page: _Page) -> None:
    """The vendor's words, with a link to them."""
    quotes = [attributes for tag, attributes in page.elements if tag == "blockquote"]
    assert [attributes["cite"] for attributes in quotes] == ["https://example.com/a?b=1&c=2"] * len(
        ALL
    )


def test_which_defects_are_caught_is_told(report: BuildReport) -> None:
    """Each deliberate defect stands beside what catches it; what nothing catches is named."""
    caught = records.Caught(id="one", description="a slip | of two", by="check/purity-no-io")
    missed = records.Caught(id="two", description="another", by="")
    score = records.MutationScore(total=2, caught=1, mutants=(caught, missed))
    told = msgspec.structs.replace(report("passed"), mutants=score)
    schema = files("conformance").joinpath("schema", "report.v1.json").read_bytes()
    Draft202012Validator(json.loads(schema)).validate(json.loads(report_json(told)))
    assert "1 of 2 deliberate defects are caught" in markdown(told)
    assert r"| one | a slip \| of two | check/purity-no-io |" in markdown(told)
    assert "<td>another</td><td>nothing</td>" in html(told)
