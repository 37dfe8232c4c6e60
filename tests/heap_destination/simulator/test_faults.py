"""Failures on demand: what they do, to which requests, and what Heap knows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from heap_destination.simulator import Fault

if TYPE_CHECKING:
    from .conftest import Client

EVENT = {"app_id": "11", "event": "e", "identity": "ann", "idempotency_key": "k"}


def add(client: Client, *faults: dict[str, Any]) -> None:
    assert client.post("/_simulator/faults", list(faults)).status_code == 200


def test_a_fault_answers_in_heaps_place(client: Client) -> None:
    """With its status, headers and body; Heap never sees the request, the log does."""
    add(client, {"status": 503, "headers": {"Retry-After": "2"}, "body": "busy"})
    response = client.post("/api/track", EVENT)
    assert (response.status_code, response.text) == (503, "busy")
    assert response.headers["retry-after"] == "2"
    assert client.rows("events") == []
    assert [(row["status"], row["fault"]) for row in client.rows("requests")] == [(503, True)]
    assert client.stats()["faults"] == 1


def test_a_dropped_connection_gives_no_answer(client: Client) -> None:
    """An in-process client gets the error that a real one would."""
    add(client, {"drop_connection": True})
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/track", EVENT)
    assert client.rows("events") == []
    assert client.rows("requests")[0]["status"] is None
    assert client.stats()["requests"] == {"/api/track": {"dropped": 1}}


@pytest.mark.parametrize("fault", [{"drop_connection": True}, {"status": 500}])
def test_an_answer_can_be_lost_after_the_effects(client: Client, fault: dict[str, Any]) -> None:
    """With `after`, the event is stored; the client that repeats it makes a duplicate."""
    client.heap.faults.add(Fault(after=True, next=1, **fault))
    try:
        assert client.post("/api/track", EVENT).status_code == 500
    except httpx.RemoteProtocolError:
        assert "drop_connection" in fault
    assert client.stats()["events_stored"] == 1
    client.accept("/api/track", EVENT)
    assert (client.stats()["events_stored"], client.stats()["duplicates"]) == (1, 1)


@pytest.mark.parametrize("after", [True, False])
def test_a_delay_alone_keeps_heaps_own_answer(client: Client, *, after: bool) -> None:
    """The answer is late, and true."""
    client.heap.faults.add(Fault(delay=0.2, after=after))
    client.accept("/api/track", EVENT)
    assert client.slept == [0.2]
    assert client.refusal("/api/track", {}).startswith("postBody")


def test_next_counts_the_requests_that_match(client: Client) -> None:
    """After N of them the fault is gone."""
    add(client, {"status": 500, "next": 2, "path": "/api/track"})
    assert client.rows("faults")[0]["next"] == 2
    client.accept("/api/v1/identify", {"app_id": "11", "user_id": "7", "identity": "ann"})
    statuses = [client.post("/api/track", EVENT).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert client.rows("faults") == []


def test_match_is_a_part_of_the_raw_body(client: Client) -> None:
    """Requests without it are none of the fault's business."""
    add(client, {"status": 500, "match": '"bøb"'})
    assert client.post("/api/track", {**EVENT, "identity": "bøb"}).status_code == 500
    client.accept("/api/track", EVENT)


def test_a_share_of_requests_fails(client: Client) -> None:
    """None at 0, all at 1, and about the share in between."""
    client.heap.rate_limits = False

    def failures(share: float) -> int:
        client.heap.faults.clear()
        client.heap.faults.add(Fault(status=500, share=share))
        return sum(client.post("/api/track", EVENT).status_code == 500 for _ in range(50))

    assert failures(0) == 0
    assert failures(1) == 50
    assert 15 <= failures(0.5) <= 35


def test_the_first_fault_that_takes_a_request_decides(client: Client) -> None:
    """Later ones wait for what the earlier leave."""
    add(client, {"status": 500, "next": 1}, {"status": 429})
    assert [client.post("/api/track", EVENT).status_code for _ in range(2)] == [500, 429]


def test_faults_can_be_cleared(client: Client) -> None:
    """Then everything works again; a reset of the data leaves them in force."""
    add(client, {"status": 500})
    client.request("DELETE", "/_simulator/state")
    assert client.post("/api/track", EVENT).status_code == 500
    client.request("DELETE", "/_simulator/faults")
    client.accept("/api/track", EVENT)


def test_faults_are_replaced_at_one_moment(client: Client) -> None:
    """A PUT leaves none of the former in force, and one that cannot be read changes nothing."""
    add(client, {"status": 500}, {"status": 502})
    assert client.request("PUT", "/_simulator/faults", json=[{"statu": 1}]).status_code == 400
    assert client.post("/api/track", EVENT).status_code == 500
    told = client.request("PUT", "/_simulator/faults", json={"status": 401})
    assert [fault["status"] for fault in told.json()["faults"]] == [401]
    assert client.post("/api/track", EVENT).status_code == 401


def test_faults_never_touch_the_read_side(client: Client) -> None:
    """What is under /_simulator always works."""
    client.heap.faults.add(Fault(status=500))
    assert client.stats()["faults"] == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({}, "needs a status"),
        ({"next": 1}, "needs a status"),
        ({"status": 500, "drop_connection": True}, "no status"),
        ({"body": "busy", "delay": 1}, "give its status"),
        ({"status": 99}, "200 to 599"),
        ({"status": 600}, "200 to 599"),
        ({"delay": -1}, "delay should"),
        ({"status": 500, "next": 0}, "at least 1"),
        ({"status": 500, "share": 1.1}, "from 0 to 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    client: Client, fault: dict[str, Any], reason: str
) -> None:
    """With the reason, over HTTP and in Python alike."""
    response = client.post("/_simulator/faults", fault)
    assert (response.status_code, reason in response.text) == (400, True)
    with pytest.raises(ValueError, match=reason):
        Fault(**fault)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"1", b'{"status": 500, "nxt": 1}'])
def test_a_fault_that_cannot_be_read_is_refused(client: Client, body: Any) -> None:
    """Bad JSON, and names that do not exist."""
    assert client.post("/_simulator/faults", body).status_code == 400
    assert list(client.heap.faults) == []


def test_one_fault_needs_no_array(client: Client) -> None:
    """An object alone will do."""
    assert client.post("/_simulator/faults", {"status": 500}).json() == {
        "faults": [msgspec.to_builtins(Fault(status=500))]
    }
