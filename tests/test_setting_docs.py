"""docs/settings.md: every key of a router.toml has a row that says what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from setting_docs import BLOCK, settings, tables, with_settings

from destination_router.pipeline.privacy.config import LIST_MEANINGS, NAMES, PATHS
from destination_router.pipeline.transformations.operations import OPERATIONS

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "settings.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    """The tables are drawn from the schema, the records and their docstrings."""
    assert with_settings(PAGE) == PAGE


def test_every_table_has_its_place() -> None:
    """Once, and none that is not in the schema."""
    assert sorted(block["table"] for block in BLOCK.finditer(PAGE)) == sorted(tables())


@pytest.mark.parametrize("table", list(tables()))
def test_every_key_is_described(table: str) -> None:
    """A key without a meaning fails, and so does one without a type."""
    found = list(settings(table))
    assert found
    assert [each.name for each in found if not each.meaning or not each.type] == []


def test_every_allowlist_is_described() -> None:
    """Those that are read are those that are told."""
    assert tuple(LIST_MEANINGS) == (*NAMES, *PATHS)


def test_every_step_is_described() -> None:
    """Where the page sends its reader: the table of transformations."""
    page = (DOCS / "privacy.md").read_text(encoding="utf-8")
    _, _, steps = page.partition("## Transformations")
    assert [name for name in OPERATIONS if f"`{name}`" not in steps] == []


def test_no_other_page_lists_the_keys_of_a_table() -> None:
    """What is said twice is wrong in one place one day."""
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert page.name == "settings.md" or "` | Default |" not in text, page.name
