"""docs/compatibility.md: what a destination relies on is pinned, so that a change is a decision."""

import re
from pathlib import Path

import msgspec
import pytest

import destination_router

PAGE = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text(encoding="utf-8")

MESSAGE = (
    "message_id user_id? anonymous_id? timestamp? original_timestamp? sent_at? received_at? "
    "channel? integrations? context_part?"
)
RECORDS = {
    "Alias": f"{MESSAGE} previous_id?",
    "BasicAuth": "username password?",
    "BearerAuth": "token",
    "Cost": "quota amount? key?",
    "ConnectionStats": "state detail? received? delivered? filtered? rejected? retried? waiting? "
    "in_flight? requests?",
    "Decision": "message_id result requests? reject? reason? notes? user_keys? user_id? "
    "anonymous_id? type? person?",
    "DeletionProgress": "state request_id? detail?",
    "DeletionToken": "value lifetime",
    "Field": "name type description required? default? part?",
    "Group": f"{MESSAGE} group_id? traits?",
    "HttpRequest": "url method? params? headers? json? form? auth? message_ids? user_key? notes? "
    "state_key? items? costs? bulk_costs? pairings? identity? content? content_type? gzip?",
    "HttpResponse": "status headers? body?",
    "Identifier": "kind value",
    "Identify": f"{MESSAGE} traits?",
    "Ignored": "reason notes?",
    "Imported": "settings subscriptions? lost?",
    "Note": "code path detail",
    "Outcome": "result code? detail? after? unless_proven?",
    "Page": f"{MESSAGE} name? category? properties?",
    "Pairing": "rule key value limit period? detail?",
    "Quota": "name limit period unit? scope?",
    "Refusal": "code detail",
    "RenderedRequest": "method url headers content?",
    "Screen": f"{MESSAGE} name? category? properties?",
    "Track": f"{MESSAGE} event? properties?",
}
"""Every exported record with its fields in order; `?` marks those that have a default."""

BEYOND_FIELDS = {
    "HttpResponse": {"text", "json"},
    "Outcome": {"delivered", "retry", "rejected", "suspect", "held"},
    "Reject": {"code", "detail", "path"},
    "Track": {"context", "context_json", "context_traits", "mapped", "wire", "to_dict", "other",
              "options", "user_keys"},
}  # fmt: skip


def fields(record: type[msgspec.Struct]) -> list[str]:
    return [
        field.name + ("" if field.required else "?") for field in msgspec.structs.fields(record)
    ]


def test_every_exported_record_is_pinned() -> None:
    """A record that is exported is a promise, and stands in the table."""
    exported = {name: getattr(destination_router, name) for name in destination_router.__all__}
    records = {
        name
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    }
    assert records == RECORDS.keys()


@pytest.mark.parametrize("name", RECORDS)
def test_the_fields_of_a_record_are_pinned(name: str) -> None:
    """Renaming or removing a field, or requiring one, breaks destinations."""
    assert fields(getattr(destination_router, name)) == RECORDS[name].split()


@pytest.mark.parametrize("name", BEYOND_FIELDS)
def test_what_a_record_offers_beyond_its_fields_is_there(name: str) -> None:
    """Methods and properties are relied on as fields are."""
    record = getattr(destination_router, name)
    of_one = dir(record("code", "detail")) if name == "Reject" else dir(record)
    assert BEYOND_FIELDS[name] - set(of_one) == set()


def test_the_page_lists_the_exported_names() -> None:
    """Whoever reads the promise sees all that it covers, and nothing more."""
    _, table, _ = re.split(r"\| Names \|.*\n|\n\n## What may come", PAGE)
    listed = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[1:]))
    assert sorted(listed) == sorted(destination_router.__all__)
