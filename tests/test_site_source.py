"""tools/site_source.py: the docs site's pages say what the repository's say."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_source import as_the_site_reads_it, linked, pages, stage, with_titles


def test_every_page_of_docs_is_on_the_site(tmp_path: Path) -> None:
    """At the path that it has in the repository, beside what it links to."""
    stage(tmp_path)
    docs = Path(__file__).parent.parent / "docs"
    assert {page.name for page in docs.glob("*.md")} == {
        page.name for page in (tmp_path / "docs").glob("*.md")
    }
    for page in pages():
        for file in linked(page):
            assert (tmp_path / file).is_file(), (page, file)


@pytest.mark.parametrize(
    ("written", "staged"),
    [
        ("```toml router.toml\na = 1\n```\n", '```toml title="router.toml"\na = 1\n```\n'),
        ("```console fails\n$ x\n```\n", "```console\n$ x\n```\n"),
        ("Two:\n- a\n- b\n", "Two:\n\n- a\n- b\n"),
        ("- a\n- b\n  more\n- c\n", "- a\n- b\n  more\n- c\n"),
        ("Type `--all` or `-n 5`.\n", "Type `--all`{ .option } or `-n 5`{ .option }.\n"),
        ("`a --all`, ``--x``\n", "`a --all`, ``--x``\n"),
        ("```sh\nx `--all`\n```\n", "```sh\nx `--all`\n```\n"),
        ("```text\nTwo:\n- a\n```\n", "```text\nTwo:\n- a\n```\n"),
        (
            "1. a\n\n   ```sh\n   x \\\n     y\n   ```\n2. b\n",
            "1. a\n\n    ```sh\n    x \\\n      y\n    ```\n2. b\n",
        ),
        ("1. a\n\n    b\n      c\n2. d\n", "1. a\n\n    b\n      c\n2. d\n"),
        ("```console\n$ a  # b\n```\n", "```console\n$ a  # b\n```\n"),
        (
            f"```console\n$ a  # {'b' * 80}\n$ c   # d\n$ e\n```\n",
            f"```console\n# {'b' * 80}\n$ a\n# d\n$ c\n$ e\n```\n",
        ),
        ("```text\n1. a\n   b\n```\n", "```text\n1. a\n   b\n```\n"),
    ],
)
def test_a_page_means_the_same_to_both_readers(written: str, staged: str) -> None:
    """GitHub's Markdown and the site's."""
    assert as_the_site_reads_it(written) == staged


def test_a_page_is_named_by_its_heading() -> None:
    """A reader of the site sees no files."""
    page = Path("docs/metrics.md")
    assert with_titles(page, "see [kafka.md](kafka.md#promises), [it](kafka.md)") == (
        "see [The event log on Kafka](kafka.md#promises), [it](kafka.md)"
    )
    assert with_titles(page, "[SECURITY.md](../SECURITY.md)") == "[Security](../SECURITY.md)"
    assert with_titles(page, "[a.md](https://vendor.example/a.md)") == (
        "[a.md](https://vendor.example/a.md)"
    )
