"""The connections of a router.toml do to rudder-server's destinations what they do in `run`."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from destination_router.config.router_toml import ConnectionConfig, parse_config
from destination_router.pipeline.connection import Decision, configured
from destination_router.plugins.loading import load_plugin
from destination_router.settings.errors import SettingsError
from destination_router.transformer.destinations import Destinations, find_destinations
from destination_router.transformer.jobs import Job

PAID = {"type": "track", "messageId": "m1", "userId": "u-1", "event": "Paid"}
SEEN = {**PAID, "event": "Seen", "properties": {"mail": "x@y.z"}}
NAMED = {"type": "identify", "messageId": "m2", "userId": "u-1", "traits": {"plan": "gold"}}
EVENTS = [PAID, SEEN, {**PAID, "channel": "web"}, NAMED]


def connections(*tables: dict[str, Any], **shared: Any) -> tuple[ConnectionConfig, ...]:
    listed = [{"name": "d1", "plugin": "heap", **table} for table in tables]
    return parse_config({"connections": listed, **shared}).connections


def heap(*tables: dict[str, Any], **shared: Any) -> Destinations:
    return find_destinations(connections(*tables, **shared))["heap"]


def record(identity: str = "d1", name: str = "shop", **config: Any) -> msgspec.Raw:
    whole = {"ID": identity, "Name": name, "Config": {"appId": "11", **config}}
    return msgspec.Raw(json.dumps(whole).encode())


def transformed(destinations: Destinations, event: dict[str, Any]) -> Decision:
    raw = json.dumps(event).encode()
    prepared = destinations.prepare(Job(msgspec.Raw(raw), destination=record()))
    assert prepared.connection is not None, prepared.problem
    return prepared.connection.decide(raw)


@pytest.mark.parametrize(
    "table",
    [
        {"subscription": 'type = "track" and event = "Paid"'},
        {"mapping": {"track": {"event": {"@template": "Shop {{event}}"}}}},
        {
            "subscriptions": [
                {"subscription": 'event = "Paid"'},
                {
                    "subscription": 'type = "track"',
                    "mapping": {"track": {"event": {"@template": "All {{event}}"}}},
                },
            ]
        },
        {"transformations": [{"rename_event": {"Paid": "Order Paid"}}]},
        {"settings": {"dialect": "segment"}, "subscription": 'type = "identify"'},
    ],
)
def test_a_connection_decides_here_as_it_does_in_run(table: dict[str, Any]) -> None:
    """Whatever a connection says of messages holds for the destination of its name."""
    here = heap(table)
    (config,) = connections(table)
    whole = replace(config, settings={**config.settings, "appId": "11"})
    there = configured(whole, load_plugin("heap"))
    bare = configured(replace(whole, **EMPTY), load_plugin("heap"))
    ours = [transformed(here, event) for event in EVENTS]
    assert ours == [there.decide(json.dumps(event).encode()) for event in EVENTS]
    assert ours != [bare.decide(json.dumps(event).encode()) for event in EVENTS]


EMPTY: dict[str, Any] = {
    "subscription": None,
    "mapping": {},
    "subscriptions": (),
    "transformations": (),
}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"subscription": "type ="}, "'d1' subscription: "),
        (
            {"subscriptions": [{"subscription": 'type = "track"'}, {"subscription": "?"}]},
            "'d1' subscriptions.1.subscription: ",
        ),
        ({"mapping": {"track": {"evnt": "x"}}}, "'d1' mapping.track.evnt: "),
        ({"mapping": {"trak": {"event": "x"}}}, "'d1' mapping.trak: "),
        ({"settings": {"apId": "11"}}, "'d1' settings.apId: is not known here"),
        ({"settings": {"region": "MOON"}}, "'d1' settings.region: must be one of"),
        ({"clientSide": True}, "'d1' clientSide: RudderStack tells browsers what to load"),
    ],
)
def test_what_cannot_be_honoured_stops_the_start(table: dict[str, Any], told: str) -> None:
    """The field is named: whoever wrote it believes that it holds."""
    with pytest.raises(SettingsError, match=re.escape(told)):
        heap(table)


def test_every_table_that_cannot_be_used_is_told_at_once() -> None:
    """One start shows all that is to be mended."""
    table = {"clientSide": True, "subscription": "?", "transformations": [{"no_such": {}}]}
    with pytest.raises(SettingsError) as told:
        heap(table)
    found = [problem.detail.partition(": ")[0] for problem in told.value.problems]
    assert [where.rpartition(" ")[2].partition(".")[0] for where in found] == [
        "clientSide",
        "subscription",
        "transformations",
    ]


PRIVATE: dict[str, Any] = {
    "privacy": {
        "mode": "hipaa",
        "allow": {"events": ["Paid"]},
        "keys": {"v1": {"env": "MASKING_KEY_1"}},
    }
}


@pytest.mark.parametrize("private", ["d1", "shop"])
def test_where_two_connections_stand_for_a_destination_neither_is_chosen(
    monkeypatch: pytest.MonkeyPatch, private: str
) -> None:
    """Its id may name one and its name another, and only one of them be protected."""
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")
    tables = [{"name": name, **(PRIVATE if name == private else {})} for name in ("d1", "shop")]
    shared = {"privacy": {"allow": {"events": ["Paid"]}}}
    prepared = heap(*tables, **shared).prepare(
        Job(msgspec.Raw(json.dumps(PAID).encode()), destination=record())
    )
    assert (prepared.connection, prepared.fault) == (None, "configuration")
    assert "has this destination's id, and another one its name" in prepared.problem


@pytest.mark.parametrize(("identity", "name"), [("d1", "d1"), ("d1", "other"), ("other", "d1")])
def test_of_two_connections_a_destination_gets_that_of_its_id_or_name(
    identity: str, name: str
) -> None:
    """Two connections of one plugin are told apart by nothing else."""
    tables = [
        {"subscription": 'event = "Paid"'},
        {"name": "d2", "subscription": 'event = "Seen"'},
    ]
    raw = json.dumps(SEEN).encode()
    prepared = heap(*tables).prepare(Job(msgspec.Raw(raw), destination=record(identity, name)))
    assert prepared.connection is not None
    assert prepared.connection.decide(raw).result == "filtered"
