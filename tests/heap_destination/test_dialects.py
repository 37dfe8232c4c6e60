"""Dialects: the same message as each system would send it, to the byte of the JSON value tree."""

from __future__ import annotations

import json
import math
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from disagreement import becomes
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.subject import PluginSubject
from destination_router.contract.javascript import json_text, number_text
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins.loading import load_plugin
from destination_router.settings.errors import SettingsError
from heap_destination import dialects
from heap_destination.dialects import DIALECTS

TRACK = {
    "type": "track",
    "messageId": "m-00000001",
    "userId": "ada",
    "anonymousId": "a-1",
    "event": "Paid",
}


def decide(dialect: str, message: dict[str, Any]) -> Decision:
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", "dialect": dialect})
    return connection.decide(json.dumps(message).encode())


def properties(dialect: str, part: str) -> dict[str, Any]:
    """What becomes of the disputed object as an event's properties or a user's traits."""
    chosen = {"appId": "11", "dialect": dialect}
    found = becomes(PluginSubject(load_plugin("heap")), chosen, part)
    return {key: found[key] for key in found if key not in ("segment_library", "anonymous_id")}


SEGMENT = {
    "a": "1", "b": "true", "c": "null", "f.g.0": "1", "f.g.1.h": "2", "m.0": "v", "m.1": "c",
}  # fmt: skip
CLOUD_TRAITS = {"a": 1, "b": True, "c": None, "f.g.0": 1, "f.g.1.h": 2, "m.0": "v", "m.1": "c"}
RUDDERSTACK = {
    "a": 1, "b": True, "c": None, "f.g[0]": 1, "f.g[1].h": 2, "f.i": {}, "j": [], "m[0]": "v",
    "m[1]": "c",
}  # fmt: skip
HEAP = {"a": 1, "b": "true", "f.g.0": 1, "f.g.1.h": 2, "m": "v||c"}


@pytest.mark.parametrize(
    ("dialect", "part", "expected"),
    [
        ("heap", "events", HEAP),
        ("heap", "traits", HEAP),
        ("segment", "events", SEGMENT),
        ("segment", "traits", SEGMENT),
        ("syft", "events", SEGMENT),
        ("segment-cloud", "events", SEGMENT),
        ("segment-cloud", "traits", CLOUD_TRAITS),
        ("rudderstack", "events", RUDDERSTACK),
        ("rudderstack", "traits", RUDDERSTACK),
    ],
)
def test_each_dialect_flattens_in_its_own_way(
    dialect: str, part: str, expected: dict[str, Any]
) -> None:
    """Keys, values, types and the order of keys are those of the system."""
    assert json.dumps(properties(dialect, part)) == json.dumps(expected)


BODIES = [
    (
        "segment",
        {**TRACK, "timestamp": "2026-11-22T10:00:00Z", "properties": {"b": 1, "1": 2}},
        [
            (
                '{"app_id": "11", "events": [{"event": "Paid", "custom_properties": {"1": "2", '
                '"segment_library": "cloud-mode-destination", "b": "1"}, "idempotency_key": '
                '"m-00000001", "user_identifier": {"anonymous_id": "a-1"}, "timestamp": '
                '"2026-11-22T10:00:00.000Z"}], "library": "server"}'
            )
        ],
    ),
    (
        "segment",
        {**TRACK, "type": "identify", "traits": {"plan": "gold"}},
        [
            (
                '{"identity": "ada", "app_id": "11", "properties": '
                '{"anonymous_id": "a-1", "plan": "gold"}}'
            )
        ],
    ),
    (
        "rudderstack",
        {
            **TRACK,
            "timestamp": "2026-11-22T10:00:00Z",
            "properties": {"idempotencyKey": "k", "a": 1},
        },
        [
            (
                '{"identity": "ada", "properties": {"a": 1}, '
                '"app_id": "11", "event": "Paid", "timestamp": "2026-11-22T10:00:00Z", '
                '"idempotency_key": "k"}'
            )
        ],
    ),
    (
        "rudderstack",
        {**TRACK, "type": "identify", "traits": {"plan": "gold"}},
        ['{"identity": "ada", "properties": {"plan": "gold"}, "app_id": "11"}'],
    ),
]


@pytest.mark.parametrize(("dialect", "message", "bodies"), BODIES)
def test_the_order_of_keys_is_the_systems(
    dialect: str, message: dict[str, Any], bodies: list[str]
) -> None:
    """Bodies equal those of the system to the byte, keys that are array indices first."""
    assert [json.dumps(r.json) for r in decide(dialect, message).requests] == bodies


def test_a_setting_that_a_dialect_does_not_know_is_refused() -> None:
    """A setting that would do nothing is an error, not a surprise."""
    chosen = {"appId": "11", "dialect": "segment", "anonymousEvents": "stitch"}
    with pytest.raises(SettingsError, match="anonymousEvents: dialect segment does not know it"):
        Connection("heap", load_plugin("heap"), chosen)


def test_no_other_module_knows_a_dialect_by_name() -> None:
    """A dialect is a record of options: nothing but its table branches on what it is called."""
    names = "|".join(re.escape(name) for name in DIALECTS if name != "heap")
    quoted = re.compile(f"[\"']({names})[\"']")
    home = Path(dialects.__file__)
    knowing = [
        path.name
        for path in home.parent.glob("*.py")
        if path != home and quoted.search(path.read_text(encoding="utf-8"))
    ]
    assert knowing in ([], ["migration.py"])  # which reads other systems' exports by their names


# -- numbers ------------------------------------------------------------------------------------


def sample_numbers() -> list[float]:
    """10,000 numbers: every kind of notation, the bounds between them, and any bits at all."""
    chance = random.Random(20261122)
    numbers: list[float] = [0.1, -0.0, 1.0, 1e21, 1e-7, 5e-324, 1.7976931348623157e308]
    numbers += [10.0**exponent for exponent in range(-30, 31)]
    numbers += [(1 << bits) + step for bits in range(50, 70) for step in (-1, 0, 1)]
    while len(numbers) < 10_000:
        (any_bits,) = struct.unpack("d", chance.randbytes(8))
        numbers.append(any_bits if math.isfinite(any_bits) else chance.random())
        numbers.append(round(chance.uniform(-1e6, 1e6), chance.randrange(8)))
        numbers.append(chance.randrange(-(1 << 70), 1 << 70))
    return numbers[:10_000]


def test_ten_thousand_numbers_are_written_as_node_writes_them(node: str) -> None:
    """The text of a number is that of JavaScript, after JSON.parse."""
    numbers = sample_numbers()
    script = (
        "const all = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "process.stdout.write(JSON.stringify([all.map(String), JSON.stringify(all)]))"
    )
    done = subprocess.run(
        [node, "-e", script],
        input=json.dumps(numbers),
        capture_output=True,
        check=True,
        text=True,
    )
    texts, encoded = json.loads(done.stdout)
    assert [number_text(number) for number in numbers] == texts
    assert json_text(numbers) == encoded


keys = st.text(max_size=3) | st.sampled_from(["0", "1", "10", "01", "a.b", "a"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(DIALECTS)), st.dictionaries(keys, values, max_size=4))
def test_whatever_comes_a_dialect_makes_one_level(dialect: str, content: dict[str, Any]) -> None:
    """No nested value is left, but for what is empty and kept."""
    decision = decide(dialect, {**TRACK, "properties": content})
    body = decision.requests[-1].json
    (item,) = body.get("events", [body])
    for value in (item.get("properties") or item.get("custom_properties") or {}).values():
        assert not isinstance(value, (dict, list)) or not value


# -- what RudderStack's SDKs write ---------------------------------------------------------------

RUDDERSTACK = {"library": {"name": "com.rudderstack.android.sdk.core"}}


def decided(dialect: str, **fields: Any) -> Decision:
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", "dialect": dialect})
    return connection.decide(json.dumps({"messageId": "m-00000001", **fields}).encode())


@pytest.mark.parametrize("dialect", ["segment", "segment-cloud"])
def test_traits_of_rudderstacks_sdks_are_found_where_they_write_them(dialect: str) -> None:
    """They stand in the context alone; Segment's system has never met such a sender."""
    traits = {"anonymousId": "a", "plan": "gold"}
    context = {**RUDDERSTACK, "traits": traits}
    ours = decided(dialect, type="identify", userId="ada", context=context)
    assert "gold" in json.dumps([request.json for request in ours.requests])
    assert ("converted", "context.traits") in [(note.code, note.path) for note in ours.notes]
    theirs = decided(dialect, type="identify", userId="ada", context={"traits": traits})
    assert "gold" not in json.dumps([request.json for request in theirs.requests])


def test_an_anonymous_event_of_rudderstacks_sdks_is_sent_in_segment_cloud() -> None:
    """Their context.traits hold the anonymousId, which is nobody's trait."""
    context = {**RUDDERSTACK, "traits": {"anonymousId": "a"}}
    sent = decided("segment-cloud", type="track", event="E", anonymousId="a", context=context)
    assert sent.result == "requests"


def test_a_user_id_that_is_not_sent_is_not_called_missing() -> None:
    """It is there; this dialect sends it only where a mapping says so."""
    sent = decided("segment", type="track", userId="u1", event="E")
    assert sent.reject is not None
    assert "there is none" not in sent.reject.detail
    assert "unless identity is mapped" in sent.reject.detail


@pytest.mark.parametrize("dialect", ["heap", "segment-cloud", "rudderstack"])
def test_notes_on_a_time_do_not_contradict_each_other(dialect: str) -> None:
    """What is sent all the same was not left out."""
    sent = decided(dialect, type="track", userId="u1", event="E", timestamp="soon")
    told = " ".join(note.detail for note in sent.notes)
    assert not ("left out" in told and "sends it" in told)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_time_that_no_float_holds_is_no_time(dialect: str) -> None:
    """`JSON.parse` makes Infinity of it, which no `Date` is."""
    decision = decided(dialect, type="track", userId="u1", event="Paid", timestamp=10**400)
    assert decision.reject is None or decision.reject.code != "plugin_error", decision.reject
