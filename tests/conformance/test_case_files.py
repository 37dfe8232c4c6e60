"""The case files that come with the suite: their shape, their number, their sources."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from conformance.bench import find_cases
from conformance.case import Case, CaseSet, load_cases
from conformance.report.records import SUITE_VERSION

CONFORMANCE = Path(str(files("conformance")))
SCHEMAS = sorted((CONFORMANCE / "schema").glob("*.json"))


OF_OTHERS = {"message", "values"}
"""What a customer sends, and what a configuration says: neither is ours to close."""


@pytest.fixture(scope="module")
def heap() -> CaseSet:
    folder = find_cases("heap")
    assert folder is not None
    return load_cases(folder)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_schema_is_valid_and_closed(path: Path) -> None:
    """A published schema is JSON Schema 2020-12, and refuses what it does not know."""
    schema = json.loads(path.read_bytes())
    Draft202012Validator.check_schema(schema)
    assert schema.get("additionalProperties") is False or "oneOf" in schema
    for name, definition in schema["$defs"].items():
        if name in OF_OTHERS:
            continue
        if definition.get("type") == "object" and "properties" in definition:
            assert definition.get("additionalProperties") is False, name


def test_heap_has_enough_cases(heap: CaseSet) -> None:
    """Heap's promise: at least 150 documented cases."""
    assert len(heap.cases) >= 150


def test_titles_differ_within_a_topic(heap: CaseSet) -> None:
    """A title states a rule; the same rule twice would be padding."""
    titles = Counter((case.id.partition("/")[0], case.title) for case in heap.cases)
    assert [title for title, count in titles.items() if count > 1] == []


def test_no_case_repeats_another(heap: CaseSet) -> None:
    """The same input to the same connection with the same notes looked at is one case."""

    def judged(case: Case) -> str:
        notes = case.expect.notes is None
        return repr((case.settings, case.connection, case.sent, case.response, notes))

    seen: dict[str, str] = {}
    repeated = [
        (seen[judged(case)], case.id)
        for case in heap.cases
        if case.sent and seen.setdefault(judged(case), case.id) != case.id
    ]
    assert repeated == []


def test_provisional_for_one_minor_version_only(heap: CaseSet) -> None:
    """A case that came with 1.1 is stable from 1.2 on."""
    minor = int(SUITE_VERSION.partition(".")[2])
    late = [
        case.id
        for case in heap.cases
        if case.status == "provisional" and int(case.since.partition(".")[2]) < minor
    ]
    assert late == []


def test_every_message_but_a_broken_one_has_an_id(heap: CaseSet) -> None:
    """Without a messageId the requests would depend on how the message is written."""
    nameless = [
        case.id
        for case in heap.cases
        if case.expect.requests and any("messageId" not in message for message in case.sent)
    ]
    assert nameless == []


def test_made_up_people_only() -> None:
    """Addresses and IPs in the cases belong to nobody (RFC 2606, RFC 5737)."""
    text = " ".join(path.read_text(encoding="utf-8") for path in _case_files())
    domains = set(re.findall(r"[\w.]+@([\w-]+(?:\.[\w-]+)+)", text))
    assert {domain.lower() for domain in domains} == {"example.com"}
    assert set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text)) == {"203.0.113.7"}


def _case_files() -> list[Path]:
    folder = find_cases("heap")
    assert folder is not None
    return sorted(folder.rglob("*.json"))
