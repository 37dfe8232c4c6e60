"""Rate limits: how much is let through, when there is room again, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heap_destination.simulator.limits import Rate
from heap_destination.simulator.rates import SlidingWindow

if TYPE_CHECKING:
    from .conftest import Client, Clock

PATHS = ["/api/track", "/api/add_user_properties"]


def single(path: str, who: str = "ann", app_id: str = "11") -> dict[str, Any]:
    event = {"event": "e"} if path == "/api/track" else {}
    return {"app_id": app_id, "identity": who, **event}


def bulk(count: int, who: str = "ann", app_id: str = "11") -> dict[str, Any]:
    return {"app_id": app_id, "events": [{"event": "e", "identity": who}] * count}


def limited(client: Client, path: str, body: dict[str, Any]) -> bool:
    response = client.post(path, body)
    assert response.status_code in {200, 429}
    return bool(response.status_code == 429)


@pytest.mark.parametrize("path", PATHS)
def test_an_identity_has_30_requests_in_30_seconds(client: Client, clock: Clock, path: str) -> None:
    """The 31st is answered 429 and changes nothing, until the first is 30 seconds old."""
    for _ in range(30):
        client.accept(path, single(path))
        clock.now += 0.5
    assert limited(client, path, single(path))
    clock.now += 14.5
    assert limited(client, path, single(path))
    clock.now += 0.5
    client.accept(path, single(path))
    assert limited(client, path, single(path))
    assert client.stats()["rate_limited"] == 3


def test_track_and_add_user_properties_share_the_30_requests(client: Client) -> None:
    """An identity has one budget for both."""
    for path in PATHS * 15:
        client.accept(path, single(path))
    for path in PATHS:
        assert limited(client, path, single(path))


def test_identities_user_ids_and_app_ids_have_budgets_of_their_own(client: Client) -> None:
    """One that is used up harms no other."""
    for _ in range(30):
        client.accept("/api/track", single("/api/track", who="7"))
    assert limited(client, "/api/track", single("/api/track", who="7"))
    client.accept("/api/track", single("/api/track", who="8"))
    client.accept("/api/track", single("/api/track", who="7", app_id="12"))
    for _ in range(30):
        client.accept("/api/track", {"app_id": "11", "event": "e", "user_id": "7"})
    assert limited(client, "/api/track", {"app_id": "11", "event": "e", "user_id": "7"})


def test_refused_requests_cost_nothing(client: Client) -> None:
    """Neither a 400 nor a 429 uses the budget."""
    for _ in range(40):
        client.refusal("/api/track", {**single("/api/track"), "properties": None})
    for _ in range(30):
        client.accept("/api/track", single("/api/track"))


def test_an_identity_has_1000_bulk_events_a_minute(client: Client, clock: Clock) -> None:
    """A bulk that would exceed them is answered 429 and stores nothing of itself."""
    client.accept("/api/track", bulk(999))
    assert limited(client, "/api/track", bulk(2))
    assert client.stats()["events_stored"] == 999
    client.accept("/api/track", bulk(1))
    client.accept("/api/track", bulk(1, who="bob"))
    clock.now += 59.5
    assert limited(client, "/api/track", bulk(1))
    clock.now += 0.5
    client.accept("/api/track", bulk(1000))


def test_an_app_id_has_15000_bulk_events_a_minute(client: Client, clock: Clock) -> None:
    """However many identities share them."""
    for who in range(15):
        client.accept("/api/track", bulk(1000, who=str(who)))
    assert limited(client, "/api/track", bulk(1, who="another"))
    client.accept("/api/track", bulk(1, app_id="12"))
    client.accept("/api/track", single("/api/track", who="another"))
    clock.now += 60
    client.accept("/api/track", bulk(1, who="another"))


def test_what_has_no_documented_limit_has_none(client: Client) -> None:
    """Bulk users, accounts, identify and the partner endpoints are never answered 429."""
    partner_event = {"event": "e", "user_identifier": {"identity": "ann"}}
    partner_user = {"user_identifier": {"identity": "ann"}}
    bodies: dict[str, dict[str, Any]] = {
        "/api/add_user_properties": {"users": [{"identity": "ann"}]},
        "/api/add_account_properties": {"account_id": "acme"},
        "/api/v1/identify": {"user_id": "7", "identity": "ann"},
        "/api/integrations/track": {"library": "server", "events": [partner_event]},
        "/api/integrations/add_user_properties": {"library": "server", "users": [partner_user]},
    }
    for path, body in bodies.items():
        for _ in range(31):
            client.accept(path, {"app_id": "11", **body})


def test_rate_limits_can_be_switched_off(client: Client) -> None:
    """Then nothing is answered 429."""
    client.heap.rate_limits = False
    for _ in range(31):
        client.accept("/api/track", single("/api/track"))


def test_a_window_forgets_the_keys_that_left_it() -> None:
    """Its memory follows the traffic of one period, not all identities ever seen."""
    window = SlidingWindow(Rate(5, 10.0, "requests", "a test"))
    for second in range(1000):
        counts = {second: 1}
        assert window.admits(counts, float(second))
        window.record(counts, float(second))
    assert len(window._entries) == len(window._used) == 10
