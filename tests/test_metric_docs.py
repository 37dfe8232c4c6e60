"""docs/metrics.md: every metric has a row that says what it counts."""

from __future__ import annotations

import re
from pathlib import Path

from metric_docs import of_router, of_transformer, with_metrics

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    """The tables are drawn from the families that the code serves."""
    assert with_metrics(PAGE) == PAGE


def test_every_metric_says_what_it_counts() -> None:
    """With more than its own name."""
    for family in (*of_router(), *of_transformer()):
        assert len(family.documentation.split()) >= 3, family.name


def test_what_to_watch_is_there() -> None:
    """Whoever is told to watch a metric finds it in the table."""
    watched, _, rest = PAGE.partition("## The router")
    names = re.findall(r"^\| `(\w+)`", watched, re.MULTILINE)
    assert names
    assert [name for name in names if f"| `{name}` |" not in rest] == []
