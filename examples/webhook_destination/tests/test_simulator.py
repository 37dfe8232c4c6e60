"""The simulated receiver takes what it was promised, and no more."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

EVENT = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "E"}
OTHER = {**EVENT, "messageId": "m-2"}
JSON = {"content-type": "application/json"}
Open = Callable[..., Any]


def sent(hook: Any, *events: Any, **options: Any) -> int:
    """Post an event, or several as an array; the status."""
    body = json.dumps(list(events) if len(events) > 1 else events[0]).encode()
    return int(
        hook.request("POST", "/in", **{"content": body, "headers": JSON, **options}).status_code
    )


def test_what_was_promised_is_kept_once(simulated: Open) -> None:
    """A repeat is known by its messageId."""
    hook = simulated()
    assert [sent(hook, EVENT), sent(hook, EVENT), sent(hook, OTHER)] == [200, 200, 200]
    assert hook.held("events") == [EVENT, OTHER]
    assert hook.held("stats") == {"taken": 3, "duplicates": 1}


@pytest.mark.parametrize(
    ("promised", "options", "status"),
    [
        ({"method": "PUT"}, {}, 405),
        ({"basic": ("u", "p")}, {}, 401),
        ({"basic": ("u", "p")}, {"auth": ("u", "wrong")}, 401),
        ({"bearer": "t"}, {}, 401),
        ({"headers": {"x-key": "k"}}, {}, 401),
        ({"secret": "s"}, {}, 401),
        ({"secret": "s"}, {"headers": {**JSON, "x-signature": "forged"}}, 401),
        ({}, {"content": b"nonsense"}, 400),
        ({}, {"content": b"{}"}, 400),
        ({}, {"content": b'{"type": "record", "messageId": "m-1"}'}, 400),
        ({}, {"content": b'{"type": "track"}'}, 400),
        ({}, {"content": json.dumps([EVENT]).encode()}, 400),
        ({}, {"content": b"x", "headers": {**JSON, "content-encoding": "gzip"}}, 400),
        ({}, {"headers": {**JSON, "content-encoding": "br"}}, 400),
        ({"max_events": 2}, {}, 400),
        ({"max_events": 1}, {"content": json.dumps([EVENT, OTHER]).encode()}, 400),
        ({"max_events": 2, "max_bytes": 90}, {"content": json.dumps([EVENT, OTHER]).encode()}, 413),
        ({"body": "ndjson"}, {"content": json.dumps(EVENT).encode()}, 400),
        ({"body": "form"}, {}, 400),
        ({"method": "GET"}, {}, 405),
    ],
)
def test_anything_else_is_refused(
    simulated: Open, promised: dict[str, Any], options: dict[str, Any], status: int
) -> None:
    """And nothing of it is kept."""
    hook = simulated(**promised)
    assert sent(hook, EVENT, **options) == status
    assert hook.held("everything") == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_signature_is_of_the_unpacked_body(simulated: Open, *, packed: bool) -> None:
    """With the algorithm, the header and the prefix that were promised."""
    hook = simulated(secret="s", algorithm="sha1", signature_header="X-Sig", prefix="v1=")
    body = json.dumps(EVENT).encode()
    headers = {**JSON, "x-sig": "v1=" + hmac.new(b"s", body, hashlib.sha1).hexdigest()}
    if packed:
        headers["content-encoding"] = "gzip"
    content = gzip.compress(body) if packed else body
    assert sent(hook, EVENT, content=content, headers=headers) == 200


def test_users_and_accounts_are_told_from_events(simulated: Open) -> None:
    """The later of two traits counts."""
    hook = simulated(max_events=9)
    sent(
        hook,
        {"type": "identify", "messageId": "i-1", "userId": "ada", "traits": {"a": 1, "b": 1}},
        {"type": "identify", "messageId": "i-2", "userId": "ada", "context": {"traits": {"b": 2}}},
        {
            "type": "group",
            "messageId": "g-1",
            "userId": "ada",
            "groupId": "acme",
            "traits": {"c": 3},
        },
        EVENT,
    )
    assert hook.held("users") == [{"userId": "ada", "traits": {"a": 1, "b": 2}}]
    assert hook.held("accounts") == [{"groupId": "acme", "traits": {"c": 3}}]
    assert hook.held("events") == [EVENT]


def test_a_fault_fails_requests_on_demand(simulated: Open) -> None:
    """Before they are acted on, or after: then only the answer is lost."""
    hook = simulated()
    faults = [{"status": 503, "next": 1}, {"status": 500, "after": True, "next": 1}]
    hook.request("PUT", "/_simulator/faults", json=faults)
    assert [sent(hook, EVENT), sent(hook, OTHER), sent(hook, OTHER)] == [503, 500, 200]
    assert hook.held("events") == [OTHER]
    assert [row["status"] for row in hook.held("requests")] == [503, 500, 200]
    assert hook.request("PUT", "/_simulator/faults", json=[{"x": 1}]).status_code == 400
    assert hook.request("GET", "/_simulator/nothing").status_code == 404
