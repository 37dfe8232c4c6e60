"""The simulator is an independent judge: it answers as Amplitude's pages say, and is strict."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from amplitude_destination import simulator
from amplitude_destination.simulator import SimulatedAmplitude, create_simulator

KEY = "a-key"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
EVENT = {"event_type": "E", "user_id": "user-1", "insert_id": "i-1"}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def amplitude(clock: Clock) -> SimulatedAmplitude:
    return SimulatedAmplitude(KEY, clock)


def post(
    amplitude: SimulatedAmplitude, *events: Any, path: str = "/batch", **body: Any
) -> tuple[int, Any]:
    content = {"api_key": KEY, "events": list(events), **body}
    return amplitude.answer(path, JSON, json.dumps(content).encode())


def form(amplitude: SimulatedAmplitude, path: str, name: str, items: Any) -> tuple[int, Any]:
    fields = {"api_key": KEY, name: items if isinstance(items, str) else json.dumps(items)}
    return amplitude.answer(path, FORM, urlencode(fields).encode())


def test_it_shares_no_code_with_the_plugin() -> None:
    """A mistake of the plugin's must not hide behind the same mistake here."""
    for path in Path(simulator.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            package = module.split(".")[0]
            ours = module.startswith("amplitude_destination.simulator")
            assert ours or package not in ("amplitude_destination", "destination_router"), path


def test_events_are_taken(amplitude: SimulatedAmplitude) -> None:
    """200 says how many, how large and when."""
    status, answer = post(amplitude, EVENT, {**EVENT, "insert_id": "i-2"})
    size = len(json.dumps({"api_key": KEY, "events": [EVENT, {**EVENT, "insert_id": "i-2"}]}))
    assert (status, answer) == (
        200,
        {
            "code": 200,
            "events_ingested": 2,
            "payload_size_bytes": size,
            "server_upload_time": 1_800_000_000_000,
        },
    )
    assert [event["insert_id"] for event in amplitude.store.events()] == ["i-1", "i-2"]


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("text/plain", b"{}", {"error": "Missing request body"}),
        (JSON, b"{", {"error": "Invalid JSON request body"}),
        (JSON, b'{"api_key":"a-key","events":[NaN]}', {"error": "Invalid JSON request body"}),
        (JSON, b"[]", {"error": "Invalid event JSON"}),
        (JSON, b'{"events":[]}', {"missing_field": "api_key"}),
        (JSON, b'{"api_key":"a-key"}', {"missing_field": "events"}),
        (JSON, b'{"api_key":"a-key","events":[]}', {"missing_field": "events"}),
        (JSON, b'{"api_key":"b-key","events":[{}]}', {"error": "Invalid API key"}),
    ],
)
def test_requests_that_are_none(
    amplitude: SimulatedAmplitude, content_type: str, body: bytes, answer: dict[str, str]
) -> None:
    """A 400 says in Amplitude's words what is wrong with the request; so for a wrong key."""
    status, told = amplitude.answer("/batch", content_type, body)
    assert (status, told["code"]) == (400, 400)
    assert answer.items() <= told.items()


@pytest.mark.parametrize(
    ("event", "kind", "field"),
    [
        ({"event_type": None}, "invalid_fields", "event_type"),
        ({"event_type": "[Amplitude] Revenue"}, "invalid_fields", "event_type"),
        ({"time": "2026-11-22T10:00:00Z"}, "invalid_fields", "time"),
        ({"time": 1.5}, "invalid_fields", "time"),
        ({"user_id": 12345}, "invalid_fields", "user_id"),
        ({"user_id": "undefined"}, "invalid_fields", "user_id"),
        ({"user_id": "null"}, "invalid_fields", "user_id"),
        ({"user_id": "u" * 1025}, "invalid_fields", "user_id"),
        ({"user_id": "ada"}, "invalid_id_lengths", "user_id"),
        ({"device_id": "ada"}, "invalid_id_lengths", "device_id"),
        ({"device_id": "00000000-0000-0000-0000-000000000000"}, "invalid_fields", "device_id"),
        ({"event_properties": [1]}, "invalid_fields", "event_properties"),
        ({"event_properties": {"a": None}}, "invalid_fields", "event_properties"),
        ({"user_properties": {"$set": {"a": 1}}}, "invalid_fields", "user_properties"),
        ({"groups": {"a": [str(n) for n in range(11)]}}, "invalid_fields", "groups"),
        ({"groups": {str(n): "a" for n in range(6)}}, "invalid_fields", "groups"),
        ({"group_properties": {}}, "invalid_fields", "group_properties"),
        ({"productId": "p"}, "invalid_fields", "productId"),
        ({"revenue": "1"}, "invalid_fields", "revenue"),
        ({"price": 1, "quantity": 1.0}, "invalid_fields", "quantity"),
        ({"revenue": 1, "currency": "eur"}, "invalid_fields", "currency"),
        ({"session_id": -2}, "invalid_fields", "session_id"),
        ({"library": "x"}, "invalid_fields", "library"),
    ],
)
def test_bad_events(
    amplitude: SimulatedAmplitude, event: dict[str, Any], kind: str, field: str
) -> None:
    """The index of a bad event stands in the list for its fault, under the field."""
    status, answer = post(amplitude, EVENT, {**EVENT, "insert_id": "i-2", **event})
    assert (status, answer[f"events_with_{kind}"]) == (400, {field: [1]})
    assert not list(amplitude.store.events())


@pytest.mark.parametrize("field", ["event_type", "user_id"])
def test_missing_fields(amplitude: SimulatedAmplitude, field: str) -> None:
    """An event has a type and an id."""
    event = {name: value for name, value in EVENT.items() if name != field}
    status, answer = post(amplitude, event)
    assert (status, answer["events_with_missing_fields"]) == (400, {field: [0]})


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"a": 1, "b": [True, {"c": "d"}]}, 200),
        ({"$set": {"a": 1}, "$add": {"b": 1}, "$unset": {"c": "-"}}, 200),
        ({"$set": {"a": 1}, "b": 1}, 400),
        ({"$prepend": {"a": 1}}, 400),
        ({"$unset": {"a": 1}}, 400),
        ({"$set": 1}, 400),
    ],
)
def test_operations(amplitude: SimulatedAmplitude, properties: dict[str, Any], status: int) -> None:
    """On `$identify`, properties are plain or operations, never both."""
    event = {**EVENT, "event_type": "$identify", "user_properties": properties}
    assert post(amplitude, event)[0] == status


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(("levels", "status"), [(40, 200), (41, 400)])
def test_depth(amplitude: SimulatedAmplitude, levels: int, status: int) -> None:
    """Properties nest 40 levels deep at most."""
    assert post(amplitude, {**EVENT, "event_properties": nested(levels)})[0] == status


def test_min_id_length(amplitude: SimulatedAmplitude) -> None:
    """A request may lower the limit for its own events, not lift the ban on placeholders."""
    options = {"min_id_length": 1}
    assert post(amplitude, {**EVENT, "user_id": "a"}, options=options)[0] == 200
    assert post(amplitude, {**EVENT, "user_id": "0"}, options=options)[0] == 400
    assert post(amplitude, EVENT, options={"min_id_length": 7})[0] == 400


@pytest.mark.parametrize(("path", "named"), [("/batch", [1, 2]), ("/2/httpapi", [1])])
def test_indexes(amplitude: SimulatedAmplitude, path: str, named: list[int]) -> None:
    """The bulk API names every bad event, the real-time API the first for each field."""
    bad = {**EVENT, "time": "now"}
    _, answer = post(amplitude, EVENT, bad, bad, path=path)
    assert answer["events_with_invalid_fields"] == {"time": named}


@pytest.mark.parametrize(("path", "most"), [("/batch", 20_000_000), ("/2/httpapi", 1_000_000)])
def test_sizes(amplitude: SimulatedAmplitude, path: str, most: int) -> None:
    """413 for a byte or an event too many."""
    assert post(amplitude, *[EVENT] * 2001, path=path)[0] == 413
    body = json.dumps({"api_key": KEY, "events": [EVENT]}).encode()
    padded = body + b" " * (most - len(body))
    assert amplitude.answer(path, JSON, padded)[0] == 200
    assert amplitude.answer(path, JSON, padded + b" ")[0] == 413


def test_repeats_are_ignored_for_a_week(amplitude: SimulatedAmplitude, clock: Clock) -> None:
    """The same insert_id on the same device counts once in 7 days."""
    for event in (EVENT, EVENT, {**EVENT, "device_id": "device-1"}):
        assert post(amplitude, event)[0] == 200
    assert len(list(amplitude.store.events())) == 2
    clock.now += 7 * 86_400
    post(amplitude, EVENT)
    assert len(list(amplitude.store.events())) == 3


@pytest.mark.parametrize(
    ("path", "most", "paused"), [("/2/httpapi", 30, 30), ("/batch", 30_000, 15)]
)
def test_who_sends_too_much_is_paused(
    amplitude: SimulatedAmplitude, clock: Clock, path: str, most: int, paused: int
) -> None:
    """429 names the user and their events; after the pause they may send again."""
    bulks = [[{"event_type": "E", "user_id": "noisy"}] * min(most, 2000)] * max(1, most // 2000)
    assert {post(amplitude, *bulk, path=path)[0] for bulk in bulks} == {200}
    status, answer = post(amplitude, EVENT, {**EVENT, "user_id": "noisy"}, path=path)
    assert (status, answer["throttled_events"]) == (429, [1])
    assert list(answer["throttled_users"]) == ["noisy"]
    assert ("exceeded_daily_quota_users" in answer) == (path == "/batch")
    clock.now += paused - 1
    assert post(amplitude, {**EVENT, "user_id": "noisy"}, path=path)[0] == 429
    clock.now += 31
    assert post(amplitude, {**EVENT, "user_id": "noisy"}, path=path)[0] == 200


def test_silenced_and_spent(amplitude: SimulatedAmplitude) -> None:
    """Whom Amplitude takes for spam is named in the answer."""
    amplitude.silenced.add("device-1")
    _, answer = post(amplitude, EVENT, {**EVENT, "device_id": "device-1"})
    assert (answer["silenced_devices"], answer["silenced_events"]) == (["device-1"], [1])
    amplitude.over_quota.add("user-1")
    status, answer = post(amplitude, EVENT)
    assert (status, answer["exceeded_daily_quota_users"]) == (429, {"user-1": 500_000})


def test_properties_are_not_retroactive(amplitude: SimulatedAmplitude) -> None:
    """Each event keeps what its user's properties were; a device's become its user's."""
    device = {"event_type": "E", "device_id": "device-1"}
    post(amplitude, {**device, "user_properties": {"plan": "free"}})
    change = {"$set": {"plan": "pro"}, "$setOnce": {"plan": "none", "first": 1}}
    both = {**device, "user_id": "user-1"}
    post(amplitude, {**both, "event_type": "$identify", "user_properties": change})
    change = {"$add": {"first": 2}, "$append": {"badges": "gold"}, "$unset": {"plan": "-"}}
    post(amplitude, {**both, "event_type": "$identify", "user_properties": change}, device)
    rows = [(e["user"], e["user_properties"]) for e in amplitude.store.events()]
    assert rows == [
        ("user-1", {"plan": "free"}),
        ("user-1", {"first": 3, "badges": ["gold"]}),
    ]


def test_price_times_quantity_wins(amplitude: SimulatedAmplitude) -> None:
    """An event earns price x quantity, else its revenue."""
    post(amplitude, {**EVENT, "price": 5, "quantity": 2, "revenue": 12})
    post(amplitude, {"event_type": "E", "user_id": "user-1", "revenue": 12})
    assert [event["amount"] for event in amplitude.store.events()] == [10, 12]


GROUP = {"group_type": "org", "group_value": "acme", "group_properties": {"a": 1}}


@pytest.mark.parametrize(
    ("groups", "status"),
    [
        (GROUP, 200),
        ([GROUP] * 1024, 200),
        ([GROUP] * 1025, 400),
        ([{**GROUP, "group_properties": {str(n): n for n in range(1024)}}], 200),
        ([{**GROUP, "group_properties": {str(n): n for n in range(1025)}}], 400),
        ([{**GROUP, "group_value": 1}], 400),
        ([{**GROUP, "group_properties": {"$set": {}, "a": 1}}], 400),
        ([{**GROUP, "user_id": "user-1"}], 400),
        ("[", 400),
    ],
)
def test_groups(amplitude: SimulatedAmplitude, groups: Any, status: int) -> None:
    """One group or many; 1024 of them, and 1024 properties, at most."""
    assert form(amplitude, "/groupidentify", "identification", groups)[0] == status


MAPPING = {"user_id": "ada.byron", "global_user_id": "ada"}


@pytest.mark.parametrize(
    ("mappings", "status"),
    [
        (MAPPING, 200),
        ([MAPPING] * 1500, 200),
        ([MAPPING] * 1501, 429),
        ([MAPPING] * 2001, 400),
        ({"user_id": "ada.byron", "unmap": True}, 200),
        ({"user_id": "ada.byron"}, 400),
        ({**MAPPING, "unmap": True}, 400),
    ],
)
def test_mappings(amplitude: SimulatedAmplitude, mappings: Any, status: int) -> None:
    """One mapping or many; 1500 in 30 seconds."""
    assert form(amplitude, "/usermap", "mapping", mappings)[0] == status


@pytest.mark.parametrize("path", ["/groupidentify", "/usermap"])
def test_forms_are_forms(amplitude: SimulatedAmplitude, path: str) -> None:
    """These paths take no JSON, a key that fits, and a megabyte."""
    name = "identification" if path == "/groupidentify" else "mapping"
    body = {"api_key": KEY, name: json.dumps([GROUP])}
    assert amplitude.answer(path, JSON, json.dumps(body).encode())[0] == 400
    wrong = urlencode({**body, "api_key": "b-key"}).encode()
    assert amplitude.answer(path, FORM, wrong) == (400, "Invalid API key")
    assert amplitude.answer(path, FORM, b"a" * 1_000_001)[0] == 413


class Client:
    """Speaks HTTP with a simulator of its own."""

    def __init__(self) -> None:
        self._transport = httpx.ASGITransport(create_simulator(KEY))

    def __call__(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://amplitude"
            ) as client:
                return await client.request(method, path, **content)

        return asyncio.run(send())

    def read(self, what: str) -> Any:
        return self("GET", f"/_simulator/{what}").json()

    def track(self, insert_id: str = "i-1", **fields: Any) -> int:
        events = [{**EVENT, "insert_id": insert_id, **fields}]
        return self("POST", "/batch", json={"api_key": KEY, "events": events}).status_code


@pytest.fixture
def client() -> Client:
    return Client()


def test_what_it_holds_is_shown(client: Client) -> None:
    """Users, events, groups, mappings, requests and counts are there to be read."""
    client.track(event_properties={"a": "x" * 1025})
    groups = {"api_key": KEY, "identification": json.dumps(GROUP)}
    client("POST", "/groupidentify", data=groups)
    client("POST", "/usermap", data={"api_key": KEY, "mapping": json.dumps(MAPPING)})
    client("POST", "/nowhere", json={})

    assert [user["user"] for user in client.read("users")["users"]] == ["user-1"]
    assert [event["event_type"] for event in client.read("events")["events"]] == ["E"]
    assert client.read("accounts")["accounts"] == [GROUP]
    assert client.read("mappings") == {"mappings": {"ada.byron": "ada"}}
    statuses = [request["status"] for request in client.read("requests")["requests"]]
    assert statuses == [200, 200, 200, 404]
    assert client.read("stats") == {
        "answers": {"/batch 200": 1, "/groupidentify 200": 1, "/usermap 200": 1, "/nowhere 404": 1},
        "events": 1,
        "duplicates": 0,
        "truncated": 1,
    }


def test_it_fails_on_demand(client: Client) -> None:
    """So many times, only where it fits, before or after Amplitude has acted, until cleared."""

    def fail(**fault: Any) -> int:
        return client("POST", "/_simulator/faults", json=[fault]).status_code

    fail(status=503, next=1, match="i-1")
    fail(status=502, next=1, after=True, match="i-2")
    fail(status=500, path="/usermap")
    fail(status=500, share=0.0)
    assert [client.track(key) for key in ("i-1", "i-1", "i-2", "i-2")] == [503, 200, 502, 200]
    assert client.read("stats")["duplicates"] == 1
    assert (fail(status=500), client.track()) == (200, 500)
    client("DELETE", "/_simulator/faults")
    assert client.track() == 200
    assert fail(state=500) == 400


def test_flags_are_set_from_outside(client: Client) -> None:
    """Who is taken for spam can be said while it runs."""
    client("POST", "/_simulator/flags", json={"over_quota": ["user-1"]})
    assert client.track() == 429
    client("POST", "/_simulator/flags", json={})
    assert client.track() == 200
