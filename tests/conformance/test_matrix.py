"""The matrix: many reports as one page, from the reports alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conformance.bench import Bench, open_bench
from conformance.report import Report, build_report, records, report_json
from conformance.report.matrix import ReportError, matrix, read_report, write_site
from conformance.runner import run_all

MakeBench = Callable[..., Bench]


@pytest.fixture
def small(make_bench: MakeBench) -> Callable[..., Report]:
    def build(name: str = "small", version: str = "1.0", **more: Any) -> Report:
        bench = make_bench()
        report = build_report(bench, run_all(bench, only="check/loading"))
        tested = records.Tested(name=name, distribution=f"{name}-dist", version=version)
        return msgspec.structs.replace(report, destination=tested, **more)

    return build


def heap(only: str | None = None) -> Report:
    bench = open_bench("heap")
    return build_report(bench, run_all(bench, only=only))


def cells(page: str, row: str) -> list[str]:
    """The text of a row's cells, by what its first one holds."""
    found = next(line for line in page.splitlines() if line.startswith("<tr>") and row in line)
    return [
        re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", found)
    ]


def test_destinations_stand_side_by_side(small: Callable[..., Report]) -> None:
    """A row for each version of each destination, versions in the order of their numbers."""
    score = records.MutationScore(
        total=2, caught=1, mutants=(records.Caught(id="a", description="b", by=""),)
    )
    page = matrix([small("b"), small("a", "0.10"), small("a", "0.9", mutants=score)])
    rows = re.findall(r'<th scope="row"><a href="([^"]+)"', page)
    assert rows == ["a-0.9.html", "a-0.10.html", "b-1.0.html"]
    assert "1 of 2" in cells(page, "a-0.9.html")
    assert cells(page, "a-0.9.html")[:5] == ["a", "a-dist 0.9", "success", "100%", "1 of 1"]


def test_pages_are_rows_and_versions_columns() -> None:
    """A cell says of how many of a page's statements all cases pass, and which are open."""
    page = matrix([heap()])
    assert cells(page, ">Track</a>")[1] == "22 of 22"
    assert cells(page, "reference/identify-1")[1] == "5 of 5, 1 excluded, 1 open"


def test_a_statement_counts_only_if_all_its_cases_passed() -> None:
    """What did not run or did not pass is not kept."""
    page = matrix([heap(only="track/missing-event")])
    assert cells(page, ">Track</a>")[1] == "0 of 22"


def test_how_to_reproduce_is_told(small: Callable[..., Report]) -> None:
    """The commands name the version, and the requirements it was scored by."""
    page = matrix([small(requirements="2026-11")])
    assert "pip install small-dist==1.0" in page
    assert "destination-router conformance small --requirements 2026-11 --json" in page


def test_what_a_report_says_is_text(small: Callable[..., Report]) -> None:
    """A name cannot bring markup into the page, nor leave the folder."""
    page = matrix([small("<script>", "../../1")])
    assert "<script>" not in page
    assert 'href="script-.._.._1.html"' not in page
    assert "/" not in re.findall(r'<th scope="row"><a href="([^"]+)"', page)[0]


def test_the_site_needs_no_network(small: Callable[..., Report], tmp_path: Path) -> None:
    """Every page stands by itself: nothing is loaded from anywhere."""
    write_site([small(), small("other")], tmp_path / "site")
    names = {path.name for path in (tmp_path / "site").iterdir()}
    assert names == {
        "index.html",
        "small-1.0.html",
        "small-1.0.svg",
        "other-1.0.html",
        "other-1.0.svg",
    }
    for page in (tmp_path / "site").glob("*.html"):
        content = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(", content)
        for target in re.findall(r'href="([^"#:]+)"', content):
            assert target in names


def test_one_version_twice_is_an_error(small: Callable[..., Report], tmp_path: Path) -> None:
    """Its pages would overwrite each other."""
    with pytest.raises(ReportError, match=r"two reports are of small-1\.0"):
        write_site([small(), small()], tmp_path)


def test_a_file_that_is_no_report(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReportError, match=r"a\.json is no conformance report"):
        read_report(tmp_path / "a.json")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from destination_router.commands.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "conformance", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_draws_the_page(small: Callable[..., Report], tmp_path: Path) -> None:
    """`matrix` in place of a destination, the reports, and the folder."""
    (tmp_path / "a.json").write_bytes(report_json(small()))
    done = command("matrix", tmp_path / "a.json", "--html", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "small of small-dist 1.0" in done.stdout
    assert (tmp_path / "site" / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["matrix"], "give the reports, and with --html the folder"),
        (["heap", "report.json"], "reports go with `destination-router conformance matrix`"),
        (["matrix", "nowhere.json", "--html", "site"], "nowhere.json cannot be read"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], told: str) -> None:
    """Exit status 2, and what to give."""
    done = command(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
