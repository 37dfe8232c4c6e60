"""The tables in the docs are drawn from the cases, and are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from case_tables import with_tables
from waiting import PATIENCE

from conformance.case import CaseError
from conformance.checks.generated import generated_messages
from conformance.checks.hostile import HOSTILE
from conformance.mutants.heap import MUTANTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "conformance.md"
BLOCK = "before\n<!-- conformance: heap {} -->\nold\n<!-- /conformance -->\nafter\n"


def test_a_block_is_replaced() -> None:
    """What stands around it stays."""
    drawn = with_tables(BLOCK.format("alias"))
    assert drawn.startswith("before\n")
    assert drawn.endswith("<!-- /conformance -->\nafter\n")
    assert "\nold\n" not in drawn
    assert "| Without stitching there is nothing to merge<br>`alias/ignored` |" in drawn
    assert with_tables(drawn) == drawn


def test_bars_and_long_values_fit_a_table() -> None:
    """A bar would end the cell; a thousand characters would end the reader."""
    drawn = with_tables(BLOCK.format("flatten values packing-1001"))
    rows = [line for line in drawn.split("\n") if line.startswith("| ")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {4}
    assert max(map(len, rows)) < 2000
    assert "(1024 characters)" in drawn


def test_a_table_of_disagreement_is_what_the_code_does() -> None:
    """Each value of the setting is run, for events and for traits."""
    block = "<!-- disagreement: heap dialect {} -->\nold\n<!-- /disagreement -->\n"
    drawn = with_tables(block.format("heap rudderstack"))
    rows = [line for line in drawn.split("\n") if line.startswith("| ")]
    assert rows == [
        "| | arrays | types | null | empty |",
        '| heap, events | `m` as "v\\|\\|c" | number or text | left out | left out |',
        '| heap, traits | `m` as "v\\|\\|c" | number or text | left out | left out |',
        "| rudderstack, events | `f.g[1].h`, `m[0]`, `m[1]` | kept | null | kept |",
        "| rudderstack, traits | `f.g[1].h`, `m[0]`, `m[1]` | kept | null | kept |",
    ]


@pytest.mark.parametrize("topics", ["nothing", "alias nothing"])
def test_a_topic_without_cases_is_an_error(topics: str) -> None:
    """An empty table would say that nothing is promised."""
    with pytest.raises(CaseError, match="heap has no cases on nothing"):
        with_tables(BLOCK.format(topics))


def test_check_tells_what_is_stale(tmp_path: Path) -> None:
    """`--check` changes nothing and exits with 1; without it the file is mended."""
    path = tmp_path / "doc.md"
    path.write_text(BLOCK.format("alias"), encoding="utf-8")

    def run(*arguments: str) -> int:
        command = [sys.executable, str(ROOT / "tools" / "case_tables.py"), *arguments, str(path)]
        return subprocess.run(
            command, capture_output=True, check=False, timeout=PATIENCE
        ).returncode

    assert run("--check") == 1
    assert "old" in path.read_text(encoding="utf-8")
    assert run() == 0
    assert run("--check") == 0


@pytest.mark.parametrize(
    "path",
    [DOCS, ROOT / "docs" / "moving.md", ROOT / "conformance" / "cases" / "heap" / "README.md"],
    ids=lambda p: p.name,
)
def test_the_docs_are_up_to_date(path: Path) -> None:
    """Run `python tools/case_tables.py` on the file that this names."""
    text = path.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_the_docs_count_right() -> None:
    """The numbers that the docs boast of are those that are tested."""
    text = DOCS.read_text(encoding="utf-8")
    assert f"{len(MUTANTS)} deliberate defects" in text
    assert f"{len(HOSTILE)} hostile messages" in text
    assert f"{len(list(generated_messages()))} generated ones" in text
