"""HIPAA mode in front of rudder-server: protected as configured, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from destination_router.config.router_toml import ConnectionConfig, parse_config
from destination_router.faults import UsageError
from destination_router.service.serving import Asgi
from destination_router.settings.errors import SettingsError
from destination_router.transformer.app import create_transformer
from destination_router.transformer.destinations import Destinations, find_destinations
from destination_router.transformer.jobs import Job
from destination_router.transformer.server import (
    TransformerOptions,
    build_transformer,
)

ALLOW = {"events": ["Order Paid"], "properties": ["plan"]}
PRIVATE = {"mode": "hipaa", "allow": ALLOW}
CONNECTION: dict[str, Any] = {
    "name": "Heap production",
    "plugin": "heap",
    "transformations": [{"rename_event": {"Paid": "Order Paid"}}],
    "privacy": PRIVATE,
}
SHARED = {"keys": {"v1": {"env": "MASKING_KEY_1"}}, "allow": ALLOW}
TRACK = {
    "type": "track",
    "messageId": "m1",
    "userId": "ada@example.com",
    "event": "Paid",
    "properties": {"plan": "gold", "name": "Ada Lovelace"},
}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")


def heap(**shared: Any) -> Destinations:
    content = {"privacy": {**SHARED, **shared}, "connections": [CONNECTION]}
    overlays: tuple[ConnectionConfig, ...] = parse_config(content).connections
    return find_destinations(overlays)["heap"]


def record(name: str, **config: Any) -> msgspec.Raw:
    return msgspec.Raw(
        json.dumps({"ID": "d1", "Name": name, "Config": {"appId": "11", **config}}).encode()
    )


def test_a_destination_is_protected_as_the_connection_of_its_name() -> None:
    """What the router.toml does to messages holds for them here, too."""
    raw = json.dumps(TRACK).encode()
    prepared = heap().prepare(Job(msgspec.Raw(raw), destination=record("Heap production")))
    assert prepared.connection is not None
    decision = prepared.connection.decide(raw)
    assert "ada" not in repr(decision).lower()
    assert decision.requests[0].json["event"] == "Order Paid"  # type: ignore[index]


def test_where_all_are_protected_a_stranger_is_refused() -> None:
    """With the router's mode, a destination that no connection describes gets nothing."""
    prepared = heap(mode="hipaa").prepare(Job(msgspec.Raw(b"{}"), destination=record("Another")))
    assert prepared.connection is None
    assert "none has this one's id or name: add a connection" in prepared.problem


def test_where_all_are_protected_a_strangers_users_are_not_deleted() -> None:
    """What is missing is its connection: to ask for allowlists would send people astray."""
    settings = {"settings": {"appId": "11"}}
    content = {"privacy": {**SHARED, "mode": "hipaa"}, "connections": [{**CONNECTION, **settings}]}
    destinations = find_destinations(parse_config(content).connections)["heap"]
    prepared, _ = destinations.prepare_deletion({"appId": "12"})
    assert "none has settings that fit this configuration: add one" in prepared.problem
    assert "allow" not in prepared.problem


@pytest.mark.parametrize("name", ["Another", "heap production", "HEAP PRODUCTION", ""])
def test_where_one_is_protected_a_stranger_is_refused(name: str) -> None:
    """A name that is misspelt in the router.toml must not mean that nothing is protected."""
    prepared = heap().prepare(
        Job(msgspec.Raw(json.dumps(TRACK).encode()), destination=record(name))
    )
    assert (prepared.connection, prepared.fault) == (None, "configuration")
    assert "none has this one's id or name" in prepared.problem


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"plugin": "Heap"}, "[[connections]] 'Heap production' plugin: no plugin called 'Heap'"),
        ({"plugin": "heep"}, "did you mean 'heap'?"),
        ({"clientSide": True}, "[[connections]] 'Heap production' clientSide: "),
        ({"privacy": {"mode": "hipaa", "allow": {"file": "/nowhere.toml"}}}, "privacy.allow: "),
        ({"privacy": {**PRIVATE, "keys": {"v1": {"env": "NOT_SET"}}}}, "privacy.keys.v1: "),
        ({"transformations": [{"renam_event": {}}]}, "transformations"),
        ({"settings": {"deletionApiKey": {"env": "NOT_SET"}}}, "settings.deletionApiKey: "),
    ],
)
def test_a_connection_that_cannot_be_used_stops_the_start(
    change: dict[str, Any], told: str
) -> None:
    """Whoever wrote it relies on it; settings alone need not be whole."""
    content = {"privacy": SHARED, "connections": [{**CONNECTION, **change}]}
    overlays = parse_config(content).connections
    with pytest.raises(SettingsError, match=re.escape(told)):
        create_transformer(overlays=overlays)


def test_where_keys_are_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is gone after the start fails events by its path alone."""
    destinations = heap()
    monkeypatch.delenv("MASKING_KEY_1")
    problem = destinations.prepare(
        Job(msgspec.Raw(b"{}"), destination=record("Heap production"))
    ).problem
    assert problem == "router.toml: cannot be used: privacy.keys.v1"


def test_settings_take_no_values_out_of_messages() -> None:
    """A dynamic configuration would carry a value around the allowlists."""
    dynamic = record("Heap production", region="{{ message.userId || US }}")
    prepared = heap().prepare(Job(msgspec.Raw(json.dumps(TRACK).encode()), destination=dynamic))
    assert prepared.connection is None
    assert "HIPAA mode" in prepared.problem


def test_the_proxy_delivers_what_was_masked_before() -> None:
    """A request to the proxy names no connection, and holds no message to mask."""
    assert heap(mode="hipaa").prepare_config(b'{"appId":"11"}').connection is not None


@pytest.mark.parametrize("shared", [{"mode": "hipaa"}, {}])
def test_the_proxy_repeats_no_words_of_the_vendor(
    serve: Callable[[Asgi], str], heap_url: str, shared: dict[str, str]
) -> None:
    """They may tell what the vendor knows from elsewhere: a status is all that is needed."""
    content = {"privacy": {**SHARED, **shared}, "connections": [CONNECTION]}
    overlays = parse_config(content).connections
    url = serve(create_transformer(overlays=overlays, origins={"*": heap_url}))
    body = {
        "endpoint": "https://heapanalytics.com/api/track",
        "method": "POST",
        "body": {"JSON": {"app_id": "11", "event": "E", "identity": "u", "properties": []}},
        "metadata": {"jobId": 1},
        "destinationConfig": {"appId": "11"},
    }
    answer = httpx.post(f"{url}/v0/destinations/heap/proxy", json=body)
    assert answer.status_code == 400
    assert answer.json()["output"]["destinationResponse"] == {"response": "http_400", "status": 400}


def test_where_all_are_protected_there_is_no_upstream(tmp_path: Path) -> None:
    """It would get the events of other destinations as they came."""
    config = tmp_path / "router.toml"
    config.write_text(
        '[privacy]\nmode = "hipaa"\nallow = {}\nkeys = {v1 = {env = "MASKING_KEY_1"}}\n'
        '[[connections]]\nname = "d1"\nplugin = "heap"\nprivacy = {allow = {}}\n'
    )
    assert build_transformer(TransformerOptions(config=config))
    with pytest.raises(UsageError, match="--upstream"):
        build_transformer(TransformerOptions(config=config, upstream="http://127.0.0.1:9"))
