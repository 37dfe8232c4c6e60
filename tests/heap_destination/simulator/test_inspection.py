"""The read side, and what Heap says to the wrong method and the wrong path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Client

EVENT = {"app_id": "11", "event": "e", "identity": "ann"}
PATHS = [
    "/api/track",
    "/api/add_user_properties",
    "/api/v1/identify",
    "/api/add_account_properties",
    "/api/integrations/track",
    "/api/integrations/add_user_properties",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_is_allowed(client: Client, path: str, method: str) -> None:
    """Any other method is answered 405."""
    response = client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/api", "/api/track/", "/api/Track", "/api/v1/track"])
def test_another_path_is_not_found(client: Client, path: str) -> None:
    """A path is exact, to the slash and the casing."""
    assert client.post(path, EVENT).status_code == 404
    assert client.stats()["requests"] == {"other": {"404": 1}}


def test_a_request_is_shown_with_its_body_and_status(client: Client) -> None:
    """JSON as JSON, anything else as text."""
    client.post("/api/track", EVENT)
    client.post("/api/track", b"{\xff")
    first, second = client.rows("requests")
    assert first == {
        "method": "POST",
        "path": "/api/track",
        "body": EVENT,
        "size": first["size"],
        "status": 200,
        "fault": False,
        "received": 1,
    }
    assert (second["body"], second["size"], second["status"]) == (
        "{\N{REPLACEMENT CHARACTER}",
        2,
        400,
    )


def test_limit_gives_the_latest(client: Client) -> None:
    """In the order in which all of them come."""
    for name in "abc":
        client.accept("/api/track", {**EVENT, "event": name})
    assert [event["event"] for event in client.rows("events", limit=2)] == ["b", "c"]
    assert client.rows("events", limit=0) == []
    assert len(client.rows("requests", limit=1)) == 1
    for limit in ("-1", "x", "9" * 30):
        response = client.request("GET", "/_simulator/events", params={"limit": limit})
        assert response.status_code == 400


def test_rows_can_be_asked_for_by_identity_and_app_id(client: Client) -> None:
    """Users and events of one identity, or of one app_id."""
    client.accept("/api/track", EVENT)
    client.accept("/api/track", {**EVENT, "identity": "bob", "app_id": "12"})
    for name in ("events", "users"):
        assert [row["app_id"] for row in client.rows(name, identity="bob")] == ["12"]
        assert [row["identity"] for row in client.rows(name, app_id="11")] == ["ann"]
        assert client.rows(name, app_id="11", identity="bob") == []
    assert client.rows("accounts", app_id="11") == []


def test_stats_count_answers_by_endpoint_and_status(client: Client) -> None:
    """And all that is held or was ignored."""
    client.post("/api/track", EVENT)
    client.post("/api/track", EVENT)
    client.post("/api/track", {})
    client.post("/api/add_account_properties", {"app_id": "11", "account_id": "acme"})
    assert client.stats() == {
        "requests": {
            "/api/add_account_properties": {"200": 1},
            "/api/track": {"200": 2, "400": 1},
        },
        "events_stored": 2,
        "duplicates": 0,
        "users": 1,
        "accounts": 1,
        "merges": 0,
        "merges_ignored": 0,
        "rate_limited": 0,
        "faults": 0,
    }


def test_a_reset_forgets_everything(client: Client) -> None:
    """Data, keys, requests, counts and used-up rates."""
    before = client.stats()
    for number in range(31):
        client.post("/api/track", {**EVENT, "idempotency_key": f"k{number}"})
    assert client.request("DELETE", "/_simulator/state").json() == {}
    assert client.stats() == before
    assert client.rows("requests") == client.rows("events") == client.rows("users") == []
    client.accept("/api/track", {**EVENT, "idempotency_key": "k0"})
    assert client.rows("events")[0]["received"] == 1


def test_the_read_side_is_not_logged(client: Client) -> None:
    """Looking leaves no trace."""
    client.rows("events")
    assert client.rows("requests") == []


def test_the_log_keeps_the_latest_requests(client: Client) -> None:
    """As many as were asked for at the start."""
    for _ in range(7):
        client.post("/api/track", EVENT)
    assert [row["received"] for row in client.rows("requests")] == [3, 4, 5, 6, 7]
