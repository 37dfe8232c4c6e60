"""What Heap holds after valid requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Client, Clock


def track(client: Client, event: str, **fields: Any) -> None:
    client.accept("/api/track", {"app_id": "11", "event": event, **fields})


def identify(client: Client, user_id: str, identity: str, app_id: str = "11") -> None:
    body = {"app_id": app_id, "user_id": user_id, "identity": identity}
    client.accept("/api/v1/identify", body)


def set_user(client: Client, identity: str, properties: dict[str, Any], app_id: str = "11") -> None:
    body = {"app_id": app_id, "identity": identity, "properties": properties}
    client.accept("/api/add_user_properties", body)


def owners(client: Client) -> dict[str, str | None]:
    return {event["event"]: event["identity"] for event in client.rows("events")}


def test_an_event_is_kept_as_it_was_sent(client: Client) -> None:
    """All its fields, absent ones as null."""
    fields = {"timestamp": "2026-11-01T10:00:00Z", "idempotency_key": "k-1", "session_id": "9"}
    track(client, "Bought", identity="ann", properties={"price": 9.5}, **fields)
    assert client.rows("events") == [
        {
            "app_id": "11",
            "event": "Bought",
            "identity": "ann",
            "user_id": None,
            "anonymous_id": None,
            "session_id": "9",
            "properties": {"price": 9.5},
            "timestamp": "2026-11-01T10:00:00Z",
            "idempotency_key": "k-1",
            "received": 1,
        }
    ]


def test_the_default_timestamp_is_the_time_of_arrival(client: Client, clock: Clock) -> None:
    """In UTC, with milliseconds."""
    clock.now = 1_793_527_200.5
    track(client, "e", identity="ann")
    assert client.rows("events")[0]["timestamp"] == "2026-11-01T10:00:00.500Z"


def test_events_keep_the_order_of_arrival(client: Client) -> None:
    """Whatever their timestamps say."""
    items = [{"event": name, "identity": "ann"} for name in "cab"]
    client.accept("/api/track", {"app_id": "11", "events": items})
    track(client, "d", identity="bob", timestamp="2001-01-01")
    assert [(e["event"], e["received"]) for e in client.rows("events")] == [
        ("c", 1), ("a", 2), ("b", 3), ("d", 4),
    ]  # fmt: skip


def test_a_repeated_idempotency_key_changes_nothing(client: Client) -> None:
    """The first event with a key is the one that stays, within a bulk and between endpoints."""
    first = {"event": "first", "identity": "ann", "idempotency_key": "key-0001"}
    client.accept("/api/track", {"app_id": "11", "events": [first, {**first, "event": "again"}]})
    track(client, "again", identity="ann", idempotency_key="key-0001")
    partner = {
        "event": "again",
        "user_identifier": {"anonymous_id": "a"},
        "idempotency_key": "key-0001",
    }
    body = {"app_id": "11", "library": "server", "events": [partner]}
    client.accept("/api/integrations/track", body)
    assert [event["event"] for event in client.rows("events")] == ["first"]
    assert client.stats()["duplicates"] == 3


def test_an_idempotency_key_belongs_to_its_app_id(client: Client) -> None:
    """The same key under another app_id is another event."""
    for app_id in ("11", "12"):
        body = {"app_id": app_id, "event": "e", "identity": "ann", "idempotency_key": "k"}
        client.accept("/api/track", body)
    assert len(client.rows("events")) == 2


def test_events_without_a_key_are_never_the_same(client: Client) -> None:
    """Two equal events are two events."""
    track(client, "e", identity="ann")
    track(client, "e", identity="ann")
    assert client.stats()["events_stored"] == 2


def test_the_last_value_of_a_user_property_is_kept(client: Client) -> None:
    """A property of the same name is overwritten; identities are case-sensitive."""
    set_user(client, "ann", {"plan": "free", "city": "Oslo"})
    set_user(client, "ann", {"plan": "pro"})
    set_user(client, "Ann", {})
    assert client.rows("users") == [
        {
            "app_id": "11",
            "identity": "ann",
            "user_ids": [],
            "properties": {"plan": "pro", "city": "Oslo"},
        },
        {"app_id": "11", "identity": "Ann", "user_ids": [], "properties": {}},
    ]


def test_only_the_lower_case_key_fills_the_built_in_email(client: Client) -> None:
    """Any other casing is a property like others."""
    set_user(client, "ann", {"email": "ann@example.com"})
    set_user(client, "bob", {"Email": "bob@example.com"})
    ann, bob = client.rows("users")
    assert ann["email"] == "ann@example.com"
    assert "email" not in bob
    assert bob["properties"] == {"Email": "bob@example.com"}


def test_users_in_bulk_and_from_partners_are_the_same_users(client: Client) -> None:
    """All three ways in write to one user."""
    set_user(client, "ann", {"a": 1})
    users = [{"identity": "ann", "properties": {"b": 2}}, {"identity": "bob"}]
    client.accept("/api/add_user_properties", {"app_id": "11", "users": users})
    partner = [{"user_identifier": {"identity": "ann"}, "custom_properties": {"c": None}}]
    body = {"app_id": "11", "library": "server", "users": partner}
    client.accept("/api/integrations/add_user_properties", body)
    assert client.rows("users", identity="ann")[0]["properties"] == {"a": 1, "b": 2, "c": None}
    assert client.stats()["users"] == 2


def test_an_event_under_an_identity_makes_its_user(client: Client) -> None:
    """One that has only an anonymous identifier does not."""
    track(client, "e", identity="ann")
    track(client, "e", user_id="7")
    assert [user["identity"] for user in client.rows("users")] == ["ann"]


def test_app_ids_share_nothing(client: Client) -> None:
    """Each has its own users, merges and accounts."""
    set_user(client, "ann", {"a": 1}, app_id="11")
    set_user(client, "ann", {"a": 2}, app_id="12")
    identify(client, "7", "ann", app_id="12")
    track(client, "e", user_id="7")
    assert [user["properties"] for user in client.rows("users", app_id="12")] == [{"a": 2}]
    assert owners(client) == {"e": None}


def test_identify_moves_the_events_of_a_user_id(client: Client) -> None:
    """Past events and later ones belong to the identity; those of other user_ids do not."""
    track(client, "before", user_id="7")
    track(client, "other", user_id="8")
    assert owners(client) == {"before": None, "other": None}
    identify(client, "7", "ann")
    track(client, "after", user_id="007")
    assert owners(client) == {"before": "ann", "other": None, "after": "ann"}
    assert client.rows("users")[0]["user_ids"] == ["7"]


def test_a_user_id_has_one_identity(client: Client) -> None:
    """A second identity is ignored in silence, and counted; the same one again is no offence."""
    track(client, "e", user_id="7")
    identify(client, "7", "ann")
    identify(client, "7", "ann")
    identify(client, "7", "bob")
    assert owners(client) == {"e": "ann"}
    assert [user["identity"] for user in client.rows("users")] == ["ann"]
    assert (client.stats()["merges"], client.stats()["merges_ignored"]) == (1, 1)
    assert client.rows("ignored") == [
        {
            "app_id": "11",
            "user_id": "7",
            "identity": "bob",
            "reason": "the user_id has another identity",
            "at": "2026-09-21T14:13:20.000Z",
        }
    ]


def test_an_identity_takes_10_user_ids_in_30_days(client: Client, clock: Clock) -> None:
    """The 11th is ignored in silence, and counted, until the first is 30 days old."""
    track(client, "e", user_id="10")
    for user_id in range(10):
        identify(client, str(user_id), "ann")
    clock.now += 30 * 86_400 - 1
    identify(client, "10", "ann")
    assert owners(client) == {"e": None}
    assert client.stats()["merges_ignored"] == 1
    (ignored,) = client.rows("ignored")
    assert ignored["reason"] == "the identity has 10 user_ids of this month"
    clock.now += 1
    identify(client, "10", "ann")
    assert owners(client) == {"e": "ann"}
    assert len(client.rows("users")[0]["user_ids"]) == 11


def test_accounts_keep_their_last_values(client: Client) -> None:
    """Single and bulk write to one account."""
    body = {"app_id": "11", "account_id": "acme", "properties": {"tier": 1, "seats": 3}}
    client.accept("/api/add_account_properties", body)
    accounts = [{"account_id": "acme", "properties": {"tier": 2}}, {"account_id": "initech"}]
    client.accept("/api/add_account_properties", {"app_id": "11", "accounts": accounts})
    assert client.rows("accounts") == [
        {"app_id": "11", "account_id": "acme", "properties": {"tier": 2, "seats": 3}},
        {"app_id": "11", "account_id": "initech", "properties": {}},
    ]
