"""Case files: what is read, and what is said of a mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.case import CaseError, load_cases, read_cases

SOURCE = {"decision": "because"}
CASE: dict[str, Any] = {
    "id": "topic/rule",
    "title": "A rule",
    "status": "stable",
    "level": "core",
    "source": SOURCE,
    "message": {"type": "track"},
    "expect": {"ignored": True},
}


def problems(*cases: dict[str, Any], name: str = "topic.json", **document: Any) -> list[str]:
    with pytest.raises(CaseError) as caught:
        read_cases({name: json.dumps({"cases": cases, **document}).encode()})
    return str(caught.value).split("\n")


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {**{key: value for key, value in CASE.items() if key not in keys}, **changes}


def test_defaults_are_filled_in() -> None:
    """A case's settings are laid over the file's, key by key; its source replaces the file's."""
    defaults = {"settings": {"a": 1, "b": 2}, "source": SOURCE}
    case = without("source", settings={"b": 3})
    document = {"defaults": defaults, "cases": [case]}
    cases = read_cases({"topic.json": json.dumps(document).encode()})
    assert cases.cases[0].settings == {"a": 1, "b": 3}
    assert cases.cases[0].source.decision == "because"
    assert cases.settings == {"a": 1, "b": 2}


def test_a_mistake_names_file_case_and_field() -> None:
    """Whoever made the mistake finds it without reading the schema."""
    assert problems(without(level="major")) == [
        "topic.json: case topic/rule: level: 'major' is not one of ['core', 'extended']"
    ]


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody mends a file one run at a time."""
    assert len(problems(without(level="major"), without("title", id="topic/other"))) == 2


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (without("message"), "give one input"),
        (without(messages=[{"type": "track"}]), "give one input"),
        (without(expect={}), "expect: give exactly one of requests, reject"),
        (without(expect={"ignored": True, "reject": {"code": "a"}}), "give exactly one of"),
        (
            without(source={"url": "https://example.com"}),
            "give url, retrieved and quote or summary, or",
        ),
        (
            without(source={**SOURCE, "quote": "x"}),
            "give url, retrieved and quote or summary, or else",
        ),
        (without(status="provisional"), "'since' is a required property"),
        (without(expect={"outcome": {"result": "delivered"}}), "a response has an outcome"),
        (without("source"), "it has no source, nor has the file"),
        (without(id="other/rule"), "its id must begin with topic/"),
        (without(id="Topic"), "does not match"),
        (without(wildcard="*"), "'wildcard' was unexpected"),
        (without(connection={"plugin": "heap"}), "connection: Additional properties are not"),
        (without(connection={}), "connection: {} should be non-empty"),
        (
            without(connection={"mapping": {}, "subscriptions": [{"subscription": "a"}]}),
            "connection: give subscriptions, or subscription and mapping",
        ),
    ],
)
def test_what_is_refused(case: dict[str, Any], expected: str) -> None:
    """The schema is closed, and what only makes sense together comes together."""
    told = problems(case)
    assert any(expected in problem for problem in told), told


def test_an_id_is_used_once() -> None:
    """Two cases of one name could not be told apart in a report."""
    assert problems(CASE, CASE) == ["topic.json: case topic/rule: the id is used twice"]


def test_the_names_of_checks_are_taken() -> None:
    """`--case check/…` always means a check of the suite."""
    told = problems(without(id="check/rule"), name="check.json")
    assert told == ["check.json: ids that begin with check/ are those of the suite's checks"]


def test_what_is_not_json_is_told() -> None:
    """A comma too many is a line, not a traceback."""
    with pytest.raises(CaseError, match=r"a\.json is not JSON"):
        read_cases({"a.json": b"{,}"})


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """A suite without cases would pass by saying nothing."""
    with pytest.raises(CaseError, match="there are no case files"):
        load_cases(tmp_path)


def test_the_digest_is_of_the_content_not_of_its_layout() -> None:
    """Line ends and blanks change nothing; a case does."""
    content = json.dumps({"cases": [CASE]})
    spaced = json.dumps({"cases": [CASE]}, indent=4).replace("\n", "\r\n")
    other = json.dumps({"cases": [without(title="Another rule")]})
    digests = [
        read_cases({"topic.json": text.encode()}).digest for text in (content, spaced, other)
    ]
    assert digests[0] == digests[1] != digests[2]
