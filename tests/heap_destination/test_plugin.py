"""The Heap plugin as a whole: its hooks, under pluggy alone, and under the router."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pluggy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heap_destination.plugin
from destination_router import Destination, parse_message
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins.loading import load_plugin
from heap_destination.settings import SETTINGS_SCHEMA, heap_settings

ROOT = Path(__file__).parents[2]


def connection(name: str = "heap", **more: Any) -> Connection:
    return Connection(name, load_plugin("heap"), {"appId": "11", **more})


def wire(**fields: Any) -> bytes:
    return json.dumps({"type": "track", "messageId": "m", "event": "e", **fields}).encode()


# -- hooks --------------------------------------------------------------------------------------


def test_the_plugin_takes_all_six_calls() -> None:
    """Every call is at least considered; settings and a simulator come along."""
    assert set(load_plugin("heap").capabilities) >= {
        "settings_schema", "configure", "display_names", "simulator",
        "on_identify", "on_track", "on_page", "on_screen", "on_group", "on_alias",
    }  # fmt: skip


def test_the_plugin_goes_by_the_names_that_senders_use() -> None:
    """RudderStack's display name is `Heap.io`."""
    assert set(load_plugin("heap").display_names) >= {"heap", "Heap.io"}


def test_segments_names_count_in_its_dialects_alone() -> None:
    """An opt-out that worked before the move works after it."""
    hook = load_plugin("heap").hook
    names = {
        dialect: hook.more_display_names(settings=heap_settings({"appId": "1", "dialect": dialect}))
        for dialect in ("segment", "syft", "segment-cloud", "rudderstack", "heap")
    }
    segments = ["Heap Cloud (Actions)", "Heap Cloud"]
    assert [names[name] for name in ("segment", "syft", "segment-cloud")] == [segments] * 3
    assert names["rudderstack"] == names["heap"] == []


def test_the_plugins_schema_is_heaps() -> None:
    """Hosts validate settings against it."""
    assert load_plugin("heap").hook.settings_schema() == SETTINGS_SCHEMA


def test_the_simulator_is_an_application() -> None:
    """Any host can stand it up in the place of Heap."""
    assert callable(load_plugin("heap").hook.simulator(settings=None))


# -- pluggy alone -------------------------------------------------------------------------------


def test_ten_lines_with_pluggy_alone_are_a_host() -> None:
    """The contract's hook specifications and a plugin manager are all that a host needs."""
    manager = pluggy.PluginManager("destination_router")
    manager.add_hookspecs(Destination)
    manager.register(heap_destination.plugin)
    manager.check_pending()
    configured = manager.hook.configure(settings={"appId": "11", "region": "EU"})
    message = parse_message('{"type": "identify", "userId": "ada", "messageId": "m"}')
    (request,) = manager.hook.on_identify(message=message, settings=configured)
    assert request.url == "https://c.eu.heap-api.com/api/add_user_properties"
    assert request.json == {"app_id": "11", "identity": "ada", "properties": {}}


def test_the_readmes_host_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newcomer copies from the front page sends an event to the simulator."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (host,) = [block for block in blocks if "pluggy.PluginManager" in block]
    sent: list[tuple[str, str, Any]] = []

    def request(method: str, url: str, *, json: Any) -> httpx.Response:
        sent.append((method, url, json))
        return httpx.Response(200, request=httpx.Request(method, url))

    monkeypatch.setattr(httpx, "request", request)
    exec(compile(host, "README.md", "exec"), {})
    ((method, url, body),) = sent
    assert (method, url) == ("POST", "http://127.0.0.1:9100/api/track")
    assert re.fullmatch("[0-9]+", body["app_id"])
    assert {"event", "identity", "properties", "idempotency_key"} <= body.keys()


# -- the router ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [("heap-production", "HEAP-production"), ("heap", "Heap"), ("heap-production", "heap.io")],
)
def test_options_by_the_connections_name_reach_heap(name: str, key: str) -> None:
    """A sender may speak to one of several Heap connections."""
    decision = connection(name).decide(
        wire(userId="ada", integrations={"All": False, key: {"identity": "lovelace"}})
    )
    assert [request.json["identity"] for request in decision.requests] == ["lovelace"]


def test_an_invalid_time_leaves_a_note() -> None:
    """The event goes out with the other time, or without one, and the note says why."""
    decision = connection().decide(wire(userId="ada", timestamp="yesterday"))
    assert "timestamp" not in decision.requests[0].json
    assert [(n.code, n.path) for n in decision.notes] == [("invalid_timestamp", "timestamp")]


def test_numbers_beyond_a_float_keep_their_digits_to_the_end() -> None:
    """An order number of 20 digits arrives as it was sent, in either API."""
    raw = wire(userId="ada", properties={"order": 12345678901234567891})
    assert connection().decide(raw).requests[0].json["properties"] == {
        "order": 12345678901234567891
    }
    raw = wire(anonymousId="anon", properties={"order": 12345678901234567891})
    (item,) = connection().decide(raw).requests[0].json["events"]
    assert item["custom_properties"] == {"order": "12345678901234567891"}


def test_the_same_bytes_are_the_same_event() -> None:
    """A message without an id gets a stable one, so that Heap keeps one of its repeats."""
    raw = b'{"type": "track", "event": "e", "userId": "ada"}'
    keys = {connection().decide(raw).requests[0].json["idempotency_key"] for _ in range(2)}
    assert len(keys) == 1


# -- anything at all ----------------------------------------------------------------------------

CONNECTIONS = [
    connection(),
    connection("eu", region="EU", anonymousEvents="stitch", accountIdProperty="ID"),
    connection("strict", anonymousEvents="reject", unsafeIdentities=[]),
]
texts = st.text(st.characters(exclude_categories=()), max_size=5)
keys = texts | st.sampled_from(
    ["a", "a.b", "", "id", "user_id", "Email", "anonymous_id", "k" * 1024]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**1000, max_value=2**1030)
    | st.floats()
    | texts
    | st.sampled_from(["x" * 1024, "\N{FOX FACE}" * 2000, "2026-11-22"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(keys, values, max_size=4)
ids = st.sampled_from(["ada", "anon", "null", "x" * 256, "x" * 2000, " ", 7]) | values
options = st.fixed_dictionaries(
    {}, optional={"identity": ids, "user_id": ids | st.just("42"), "session_id": ids}
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "track", "page", "screen", "group", "alias"])},
    optional={
        "messageId": ids,
        "userId": ids,
        "anonymousId": ids,
        "groupId": ids,
        "previousId": ids,
        "event": st.just("e" * 1025) | values,
        "name": values,
        "category": values,
        "properties": objects,
        "traits": objects,
        "context": st.fixed_dictionaries({"traits": objects}) | values,
        "timestamp": values,
        "originalTimestamp": values,
        "integrations": st.fixed_dictionaries({"Heap": options}) | values,
    },
)


def bodies(decision: Decision) -> list[dict[str, Any]]:
    """Take bulk bodies apart: one object for each user, event or account."""
    return [
        {**request.json, **item}
        for request in decision.requests
        for item in request.json.get("events", [{}])
    ]


@pytest.mark.parametrize("heap", CONNECTIONS, ids=lambda heap: heap.name)
@given(message=messages | values)
@settings(deadline=None, max_examples=200)
def test_whatever_comes_heap_gets_what_it_documents_or_the_sender_a_code(
    heap: Connection, message: Any
) -> None:
    """Deciding never raises, and what goes out keeps within every documented limit."""
    decision = heap.decide(json.dumps(message).encode())
    assert decision.reject is None or decision.reject.code != "plugin_error", decision.reject
    assert (decision.result == "requests") is bool(decision.requests)
    for body in bodies(decision):
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        assert body["app_id"] == "11"
        assert len(body.get("event", "")) <= 1024
        for name in ("identity", "account_id"):
            assert 1 <= len(body.get(name, "x")) <= 255
        assert "user_id" not in body or 0 <= int(body["user_id"]) < 2**53
        properties = body.get("properties", body.get("custom_properties", {}))
        for key, value in properties.items():
            assert 1 <= len(key) <= 1023
            assert type(value) in (str, int, float)
            assert not isinstance(value, str) or len(value) <= 1023


@given(st.binary())
@settings(deadline=None)
def test_bytes_that_are_no_message_are_a_rejection(raw: bytes) -> None:
    """Deciding never raises, whatever the bytes."""
    decision = CONNECTIONS[0].decide(raw)
    assert decision.result == "rejected"
    assert decision.reject is not None
