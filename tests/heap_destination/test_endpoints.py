"""Heap's endpoints: each builds the documented request, and leaves out what is not known."""

from typing import Any

import msgspec
import pytest

from destination_router import HttpRequest, Note
from heap_destination import endpoints
from heap_destination.endpoints import Event
from heap_destination.settings import HeapSettings

US = HeapSettings(app_id="11")
EU = HeapSettings(app_id="11", region="EU")
NOTES = [Note("dropped", "properties.a", "null")]
FULL = Event(
    name="Clicked",
    properties={"a": 1},
    timestamp="2026-11-22T10:00:00.000Z",
    idempotency_key="message-1",
    session_id="77",
)
BARE = Event(name="Clicked", properties={}, timestamp=None, idempotency_key="message-1")


@pytest.mark.parametrize(
    ("request_", "path", "body", "state_key"),
    [
        (
            endpoints.track(US, FULL, NOTES, identity="ada"),
            "/api/track",
            {
                "app_id": "11",
                "event": "Clicked",
                "identity": "ada",
                "session_id": "77",
                "properties": {"a": 1},
                "timestamp": "2026-11-22T10:00:00.000Z",
                "idempotency_key": "message-1",
            },
            None,
        ),
        (
            endpoints.track(US, BARE, NOTES, user_id="42"),
            "/api/track",
            {
                "app_id": "11",
                "event": "Clicked",
                "user_id": "42",
                "properties": {},
                "idempotency_key": "message-1",
            },
            None,
        ),
        (
            endpoints.partner_track(US, FULL, NOTES, who={"anonymous_id": "anon"}),
            "/api/integrations/track",
            {
                "app_id": "11",
                "library": "server",
                "events": [
                    {
                        "event": "Clicked",
                        "user_identifier": {"anonymous_id": "anon"},
                        "custom_properties": {"a": 1},
                        "idempotency_key": "message-1",
                        "timestamp": "2026-11-22T10:00:00.000Z",
                    }
                ],
            },
            None,
        ),
        (
            endpoints.partner_track(US, BARE, NOTES, who={"anonymous_id": "anon"}),
            "/api/integrations/track",
            {
                "app_id": "11",
                "library": "server",
                "events": [
                    {
                        "event": "Clicked",
                        "user_identifier": {"anonymous_id": "anon"},
                        "custom_properties": {},
                        "idempotency_key": "message-1",
                    }
                ],
            },
            None,
        ),
        (
            endpoints.add_user_properties(US, identity="ada", properties={}, notes=NOTES),
            "/api/add_user_properties",
            {"app_id": "11", "identity": "ada", "properties": {}},
            "user:ada",
        ),
        (
            endpoints.add_account_properties(
                US, account_id="acme", properties={"a": 1}, notes=NOTES
            ),
            "/api/add_account_properties",
            {"app_id": "11", "account_id": "acme", "properties": {"a": 1}},
            "account:acme",
        ),
        (
            endpoints.identify(US, user_id="42", identity="ada", timestamp="t", notes=NOTES),
            "/api/v1/identify",
            {"app_id": "11", "user_id": "42", "identity": "ada", "timestamp": "t"},
            None,
        ),
        (
            endpoints.identify(US, user_id="42", identity="ada", notes=NOTES),
            "/api/v1/identify",
            {"app_id": "11", "user_id": "42", "identity": "ada"},
            None,
        ),
    ],
)
def test_each_endpoint_gets_its_documented_body(
    request_: HttpRequest, path: str, body: dict[str, Any], state_key: str | None
) -> None:
    """The App ID is the only credential; properties are an object even when empty."""
    expected = HttpRequest(
        url=f"https://heapanalytics.com{path}",
        json=body,
        notes=tuple(NOTES),
        state_key=state_key,
        identity=body.get("identity", ""),
    )
    plain = msgspec.structs.replace(request_, costs=None, bulk_costs=None, pairings=())
    assert plain == expected
    assert list(request_.json) == list(body)


@pytest.mark.parametrize(
    ("request_", "alone", "in_bulk"),
    [
        (
            endpoints.track(US, FULL, [], identity="ada"),
            {"requests_per_identity": "identity:ada"},
            {"events_per_app": "", "events_per_identity": "identity:ada"},
        ),
        (
            endpoints.track(US, FULL, [], user_id="007"),
            {"requests_per_identity": "user_id:7"},
            {"events_per_app": "", "events_per_identity": "user_id:7"},
        ),
        (
            endpoints.add_user_properties(US, identity="ada", properties={}, notes=[]),
            {"requests_per_identity": "identity:ada"},
            {},
        ),
        (endpoints.partner_track(US, FULL, [], who={"anonymous_id": "anon"}), {}, {}),
        (endpoints.add_account_properties(US, account_id="a", properties={}, notes=[]), {}, {}),
        (endpoints.identify(US, user_id="7", identity="ada", notes=[]), {}, {}),
    ],
)
def test_each_request_takes_from_the_quotas_that_heap_documents(
    request_: HttpRequest, alone: dict[str, str], in_bulk: dict[str, str]
) -> None:
    """Alone and in a bulk it counts differently; what Heap prints no limit for counts for none."""
    bulk_costs = request_.costs if request_.bulk_costs is None else request_.bulk_costs

    assert {cost.quota: cost.key for cost in request_.costs or ()} == alone
    assert {cost.quota: cost.key for cost in bulk_costs or ()} == in_bulk


@pytest.mark.parametrize(
    "request_",
    [
        endpoints.track(EU, FULL, [], identity="ada"),
        endpoints.partner_track(EU, FULL, [], who={"anonymous_id": "anon"}),
        endpoints.add_user_properties(EU, identity="ada", properties={}, notes=[]),
        endpoints.add_account_properties(EU, account_id="acme", properties={}, notes=[]),
        endpoints.identify(EU, user_id="42", identity="ada", notes=[]),
    ],
)
def test_every_endpoint_has_its_european_twin(request_: HttpRequest) -> None:
    """The paths are the same on either host."""
    assert request_.url.startswith("https://c.eu.heap-api.com/api/")
