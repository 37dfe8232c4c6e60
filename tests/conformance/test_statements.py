"""Each sentence of a vendor's pages has cases, a reason to have none, or is listed as open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conformance.bench import Bench, open_bench
from conformance.case import Case, CaseError, Expectation, ExpectedReject, Source
from conformance.checks import CHECKS
from conformance.report import build_report, html, markdown
from conformance.runner import Verdict
from conformance.statements import load_pages

URL = "https://vendor.example/page"


def case(**fields: Any) -> Case:
    known: dict[str, Any] = {
        "id": "track/one",
        "title": "One",
        "status": "stable",
        "level": "core",
        "expect": Expectation(reject=ExpectedReject(code="x")),
        "source": Source(url=URL, summary="x", retrieved="2026-11-22"),
        "statement": "page/1",
    }
    return Case(**{**known, **fields})


def write(folder: Path, *statements: dict[str, Any]) -> Path:
    page = {
        "url": URL,
        "heading": "Page",
        "retrieved": "2026-11-22",
        "statements": list(statements),
    }
    (folder / "page.json").write_bytes(msgspec.json.encode(page))
    return folder


def heap() -> Bench:
    return open_bench("heap")


def test_every_case_of_a_page_names_its_sentence() -> None:
    """Heap's cases load only if each one with a URL names a statement that names it too."""
    bench = heap()
    named = [case for case in bench.case_set.cases if case.statement]
    assert len(named) >= len([case for case in bench.case_set.cases if case.source.url])
    assert len(bench.pages) >= 20


def test_the_checks_that_statements_name_exist() -> None:
    """A statement may be tested by a check, and only by one that there is."""
    ids = {check.id for check in CHECKS}
    cited = {i for page in heap().pages for told in page.statements for i in told.cases}
    assert {i for i in cited if i.startswith("check/")} <= ids


def test_the_tests_that_exclusions_name_exist() -> None:
    """What is said to be held elsewhere is held by a file that is there."""
    said = " ".join(told.excluded for page in heap().pages for told in page.statements)
    paths = re.findall(r"\b(?:tests|cases)/[\w/-]+(?:\.\w+)?", said)
    assert paths
    for path in paths:
        assert Path(path).exists() or (Path("conformance") / path).exists(), path


@pytest.mark.parametrize(
    ("statement", "own", "told"),
    [
        ({"number": 1, "says": "x", "cases": ["track/two"]}, {}, "statement 1: no case track/two"),
        ({"number": 1, "says": "x"}, {}, "statement 1: add track/one, which names it"),
        (
            {"number": 2, "says": "x"},
            {},
            "case track/one: there is no statement page/1",
        ),
        (
            {"number": 1, "says": "x"},
            {"statement": ""},
            f"case track/one: name the statement of {URL} that it tests",
        ),
        (
            {"number": 1, "says": "x", "cases": ["track/one"]},
            {"source": Source(url="https://vendor.example/other", summary="x", retrieved="x")},
            "case track/one: its source is https://vendor.example/other",
        ),
        (
            {"number": 1, "says": "x", "cases": ["track/one"], "excluded": "why"},
            {},
            "page.json: statements.0",
        ),
    ],
)
def test_what_does_not_agree_is_named(
    tmp_path: Path, statement: dict[str, Any], own: dict[str, Any], told: str
) -> None:
    """A case and a statement that do not name each other are an error with both names."""
    with pytest.raises(CaseError) as error:
        load_pages(write(tmp_path, statement), [case(**own)])
    assert told in str(error.value)


def test_a_number_is_used_once(tmp_path: Path) -> None:
    """Two statements of one number could not be told apart."""
    one = {"number": 1, "says": "x", "cases": ["track/one"]}
    with pytest.raises(CaseError, match="statement 1 is there twice"):
        load_pages(write(tmp_path, one, one), [case()])


def test_open_statements_are_counted_and_listed(tmp_path: Path) -> None:
    """A report counts what is tested, excluded and open, and lists what is open."""
    pages = load_pages(
        write(
            tmp_path,
            {"number": 1, "says": "One.", "cases": ["track/one"]},
            {"number": 2, "says": "Two.", "excluded": "by hand"},
            {"number": 3, "says": "Three."},
        ),
        [case()],
    )
    report = build_report(Bench(name="small", subject=None, pages=pages), list[Verdict]())
    assert isinstance(report.pages, tuple)
    assert [(p.tested, p.excluded, p.open) for p in report.pages] == [(1, 1, 1)]
    for drawn in (markdown(report), html(report)):
        assert "3 statements of 1 page: 1 tested, 1 excluded with a reason, 1 open" in drawn
        assert "Three." in drawn
