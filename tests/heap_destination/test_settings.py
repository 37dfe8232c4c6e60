"""Heap's settings: the schema that hosts show and check, and the record that hooks receive."""

from typing import Any

import pytest

from destination_router.settings.validation import load_settings
from heap_destination.settings import (
    BASE_URLS,
    SETTINGS_SCHEMA,
    UNSAFE_IDENTITIES,
    GivenSettings,
    HeapSettings,
    heap_settings,
)

FIELDS = SETTINGS_SCHEMA["properties"]


def test_the_schema_is_closed_and_asks_for_the_app_id_alone() -> None:
    """A mistyped setting is found; all but the App ID has a default or may be absent."""
    assert SETTINGS_SCHEMA["additionalProperties"] is False
    assert SETTINGS_SCHEMA["required"] == ["appId"]


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_title_and_a_description(name: str) -> None:
    """A form or a manual can be made from the schema."""
    assert FIELDS[name]["title"]
    assert FIELDS[name]["description"].endswith(".")


def test_the_schema_and_the_record_have_the_same_fields_and_defaults() -> None:
    """A host that fills in no defaults gets the same mapping as one that does."""
    assert tuple(FIELDS) == GivenSettings.__struct_encode_fields__
    filled = load_settings(SETTINGS_SCHEMA, {"appId": "11"})
    assert heap_settings(filled) == heap_settings({"appId": "11"}) == HeapSettings(app_id="11")


def test_every_setting_reaches_the_record() -> None:
    """What is configured is what the hooks see."""
    settings = {
        "appId": "11",
        "region": "EU",
        "dialect": "heap",
        "anonymousEvents": "stitch",
        "accountIdProperty": "company",
        "unsafeIdentities": [" Nobody ", "N/A"],
    }
    assert heap_settings(load_settings(SETTINGS_SCHEMA, settings)) == HeapSettings(
        app_id="11",
        region="EU",
        dialect="heap",
        anonymous_events="stitch",
        account_id_property="company",
        unsafe_identities=frozenset({"nobody", "n/a"}),
    )


@pytest.mark.parametrize(
    ("region", "base_url"),
    [("US", "https://heapanalytics.com"), ("EU", "https://c.eu.heap-api.com")],
)
def test_the_region_chooses_the_host(region: Any, base_url: str) -> None:
    """US is the default; there are no other regions."""
    assert HeapSettings(app_id="11", region=region).base_url == base_url
    assert HeapSettings(app_id="11").base_url == "https://heapanalytics.com"
    assert FIELDS["region"]["enum"] == list(BASE_URLS)


@pytest.mark.parametrize("app_id", ["", "abc", "11\n", " 11", 11, None])
def test_a_host_that_checks_no_schema_cannot_use_a_wrong_app_id(app_id: object) -> None:
    """Heap would take the events and lose them."""
    with pytest.raises(ValueError, match="appId"):
        heap_settings({"appId": app_id})


def test_the_unsafe_identities_are_told_in_lower_case_and_can_be_replaced() -> None:
    """They are compared in any casing; an empty list trusts the sender."""
    assert FIELDS["unsafeIdentities"]["default"] == list(UNSAFE_IDENTITIES)
    assert all(identity == identity.casefold() for identity in UNSAFE_IDENTITIES)
    settings = heap_settings({"appId": "11", "unsafeIdentities": []})
    assert settings.unsafe_identities == frozenset()
