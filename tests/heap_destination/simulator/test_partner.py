"""The partner endpoints' own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Client

TRACK = "/api/integrations/track"
USERS = "/api/integrations/add_user_properties"


def track(**fields: Any) -> dict[str, Any]:
    event = {"event": "e", "user_identifier": {"anonymous_id": "a"}, **fields}
    return {"app_id": "11", "library": "server", "events": [event]}


@pytest.mark.parametrize(("path", "plural"), [(TRACK, "events"), (USERS, "users")])
def test_the_library_is_server(client: Client, path: str, plural: str) -> None:
    """A body without `library`, or with another, is refused."""
    body = {"app_id": "11", plural: [{}]}
    assert client.refusal(path, body) == "postBody should have required property 'library'"
    for library in ("web", None, 1):
        refusal = client.refusal(path, {**body, "library": library})
        assert refusal == "postBody.library should be equal to constant 'server'"


@pytest.mark.parametrize(("path", "plural"), [(TRACK, "events"), (USERS, "users")])
def test_the_items_are_required(client: Client, path: str, plural: str) -> None:
    """There is no single form."""
    refusal = client.refusal(path, {"app_id": "11", "library": "server"})
    assert refusal == f"postBody should have required property '{plural}'"


@pytest.mark.parametrize(
    "who",
    [
        {"identity": "ann"},
        {"anonymous_id": "a-1"},
        {"user_id": "7"},
        {"email": "ann@example.com"},
        {"identity": "ann", "anonymous_id": "a-1", "user_id": "7", "email": "ann@example.com"},
    ],
)
def test_an_event_has_any_of_four_identifiers(client: Client, who: Any) -> None:
    """One is enough, all are accepted, and the event is kept under them."""
    client.accept(TRACK, track(user_identifier=who))
    [event] = client.rows("events")
    names = ("identity", "anonymous_id", "user_id", "email")
    assert {name: event[name] for name in names if event.get(name)} == who


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({}, " should NOT have fewer than 1 properties"),
        (None, " should be object"),
        ("ann", " should be object"),
        ({"identity": ""}, ".identity should NOT be shorter than 1 characters"),
        ({"identity": "i" * 256}, ".identity should NOT be longer than 255 characters"),
        ({"anonymous_id": None}, ".anonymous_id should be string"),
        ({"anonymous_id": ""}, ".anonymous_id should NOT be shorter than 1 characters"),
        ({"user_id": "x"}, ".user_id should be a numeric string from 0 to 9007199254740991"),
        ({"email": 1}, ".email should be string"),
        ({"phone": "1"}, " should NOT have additional properties: 'phone'"),
    ],
)
def test_another_user_identifier_is_refused(client: Client, who: Any, expected: str) -> None:
    """The refusal names the event by its index."""
    refusal = client.refusal(TRACK, track(user_identifier=who))
    assert refusal == "postBody.events[0].user_identifier" + expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": ""}, ".event should NOT be shorter than 1 characters"),
        ({"event": "e" * 1025}, ".event should NOT be longer than 1024 characters"),
        ({"idempotency_key": "k" * 7}, ".idempotency_key should NOT be shorter than 8 characters"),
        ({"timestamp": "soon"}, '.timestamp should match format "date-time" (ISO 8601)'),
        ({"properties": {}}, " should NOT have additional properties: 'properties'"),
        ({"custom_properties": None}, ".custom_properties should be object"),
        ({"session_id": "1"}, " should NOT have additional properties: 'session_id'"),
    ],
)
def test_another_event_is_refused(client: Client, fields: dict[str, Any], expected: str) -> None:
    """The refusal names the field."""
    assert client.refusal(TRACK, track(**fields)) == "postBody.events[0]" + expected


def test_an_idempotency_key_of_8_characters_is_accepted(client: Client) -> None:
    """8 is the least."""
    client.accept(TRACK, track(idempotency_key="12345678"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, " should have required property 'user_identifier'"),
        ({"user_identifier": {}}, ".user_identifier should have required property 'identity'"),
        ({"user_identifier": {"identity": 7}}, ".user_identifier.identity should be string"),
        (
            {"user_identifier": {"identity": "a", "email": "b"}},
            ".user_identifier should NOT have additional properties: 'email'",
        ),
        ({"identity": "a"}, " should NOT have additional properties: 'identity'"),
    ],
)
def test_a_user_goes_by_identity_alone(client: Client, user: dict[str, Any], expected: str) -> None:
    """Any other identifier is refused."""
    body = {"app_id": "11", "library": "server", "users": [user]}
    assert client.refusal(USERS, body) == "postBody.users[0]" + expected
