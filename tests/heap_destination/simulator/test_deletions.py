"""The simulator's deletion of users: who is let in, for how long, and what is gone then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Client, Clock

KEY = "simulated-api-key"
BASE = "/api/public/v0"


def token(client: Client) -> str:
    response = client.request("POST", f"{BASE}/auth_token", auth=("11", KEY))
    assert response.status_code == 200
    return str(response.json()["access_token"])


def delete(client: Client, held: str, *users: Any) -> Any:
    headers = {"Authorization": f"Bearer {held}"}
    return client.request(
        "POST", f"{BASE}/user_deletion", json={"users": list(users)}, headers=headers
    )


def status(client: Client, held: str, request_id: str) -> Any:
    headers = {"Authorization": f"Bearer {held}"}
    return client.request("GET", f"{BASE}/deletion_status/{request_id}", headers=headers)


def track(client: Client, event: str, app_id: str = "11", **who: str) -> None:
    client.accept("/api/track", {"app_id": app_id, "event": event, **who})


@pytest.mark.parametrize("auth", [("11", "wrong"), ("eleven", KEY), ("", KEY), None])
def test_only_the_key_gets_a_token(client: Client, auth: Any) -> None:
    """Anything else is 401."""
    assert client.request("POST", f"{BASE}/auth_token", auth=auth).status_code == 401


def test_a_token_lives_five_minutes(client: Client, clock: Clock) -> None:
    """Then, and for any other text, it is 401 again."""
    held = token(client)
    assert delete(client, "made-up", {"identity": "a"}).status_code == 401
    clock.now += 299
    assert delete(client, held, {"identity": "a"}).status_code == 201
    assert status(client, held, "1").status_code == 200
    clock.now += 1
    assert delete(client, held, {"identity": "a"}).status_code == 401
    assert status(client, held, "1").status_code == 401


def test_a_deletion_is_pending_first_and_then_complete(client: Client, clock: Clock) -> None:
    """Nothing is gone before that; then the user and all their events are, in all environments."""
    track(client, "hers", identity="ada")
    track(client, "hers too", app_id="12", identity="ada")
    track(client, "anonymous", user_id="7")
    body = {"app_id": "11", "user_id": "7", "identity": "ada"}
    client.accept("/api/v1/identify", body)
    track(client, "his", identity="bob")
    held = token(client)
    request_id = delete(client, held, {"identity": "ada"}).json()["deletion_request_id"]
    assert status(client, held, request_id).json() == {"status": "pending"}
    assert len(client.rows("events")) == 4
    clock.now += 1
    assert [event["event"] for event in client.rows("events")] == ["his"]
    assert [user["identity"] for user in client.rows("users")] == ["bob"]
    assert status(client, held, request_id).json() == {"status": "complete"}


def test_a_user_id_is_deleted_with_the_identity_that_has_it(client: Client, clock: Clock) -> None:
    """They are one user; one that was never merged goes alone."""
    track(client, "merged", user_id="7")
    client.accept("/api/v1/identify", {"app_id": "11", "user_id": "7", "identity": "ada"})
    track(client, "hers", identity="ada")
    track(client, "another", user_id="8")
    track(client, "third", user_id="9")
    delete(client, token(client), {"user_id": "7"}, {"user_id": "008"})
    clock.now += 1
    assert [event["event"] for event in client.rows("events")] == ["third"]
    assert client.rows("users") == []
    client.accept("/api/v1/identify", {"app_id": "11", "user_id": "8", "identity": "bob"})
    assert [event["event"] for event in client.rows("events")] == ["third"]


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ([], "postBody.users should have 1 to 10000 items"),
        ([{"identity": "a"}] * 10_001, "postBody.users should have 1 to 10000 items"),
        ([{}], "postBody.users[0] should have exactly one of 'identity' and 'user_id'"),
        (
            [{"identity": "a", "user_id": "1"}],
            "postBody.users[0] should have exactly one of 'identity' and 'user_id'",
        ),
        ([{"user_id": "x"}], "postBody.users[0].user_id should be a numeric string"),
    ],
)
def test_a_body_that_breaks_a_rule_deletes_nobody(
    client: Client, users: list[Any], words: str
) -> None:
    """A 400 says where."""
    response = delete(client, token(client), *users)
    assert (response.status_code, response.text[: len(words)]) == (400, words)


def test_what_nobody_asked_for_is_not_found(client: Client) -> None:
    """An unknown request is 404, another method 405."""
    held = token(client)
    assert status(client, held, "99").status_code == 404
    assert client.request("GET", f"{BASE}/user_deletion").status_code == 405
    assert client.stats()["requests"][f"{BASE}/deletion_status"] == {"404": 1}
