"""docs/mapping.md: every directive has an example, and every example is what happens."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from field_tables import with_tables

from destination_router.contract.messages import Message
from destination_router.pipeline.mapping.directives import DIRECTIVES
from destination_router.pipeline.mapping.field_mapping import compile_mapping
from destination_router.pipeline.normalise import parse_message
from destination_router.pipeline.subscriptions.conditions import compile_condition

TEXT = (Path(__file__).parent.parent / "docs" / "mapping.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
MAPPINGS = [example for example in EXAMPLES if "mapping" in example]
SUBSCRIPTIONS = [example for example in EXAMPLES if "subscription" in example]


def message(content: dict[str, Any]) -> Message:
    return parse_message({"messageId": "m-1", **content})


@pytest.mark.parametrize("example", MAPPINGS)
def test_a_mapping_gives_what_the_docs_say(example: dict[str, Any]) -> None:
    """An example's mapping makes its result of its message, in the order of its keys."""
    found = compile_mapping(example["mapping"])(message(example["message"]))
    assert json.dumps(found) == json.dumps(example["result"])


@pytest.mark.parametrize("example", SUBSCRIPTIONS)
def test_a_subscription_takes_what_the_docs_say(example: dict[str, Any]) -> None:
    """An example takes and leaves the messages that stand under it."""
    takes = compile_condition(example["subscription"])
    assert [takes(message(content)) for content in example["takes"]] == [True] * len(
        example["takes"]
    )
    assert [takes(message(content)) for content in example["leaves"]] == [False] * len(
        example["leaves"]
    )


def test_every_directive_has_a_section_with_an_example() -> None:
    """A directive that is not documented does not exist."""
    sections = dict(re.findall(r"### (@\w+)\n(.*?)(?=\n##|\Z)", TEXT, re.DOTALL))
    assert list(sections) == list(DIRECTIVES)
    for name, section in sections.items():
        assert f'"{name}"' in "".join(re.findall(r"```json\n(.*?)```", section, re.DOTALL))


def test_the_table_of_fields_is_up_to_date() -> None:
    """The docs' table is drawn from the plugin."""
    assert with_tables(TEXT) == TEXT


def test_the_configurations_shown_are_toml() -> None:
    """What can be copied can be used."""
    for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL):
        assert tomllib.loads(block)["connections"]
