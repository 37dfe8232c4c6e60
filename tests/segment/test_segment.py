"""Dialect `segment`, mappings and FQL against Segment's published code, message by message.

The package is `@segment/action-destinations`, whose Heap destination Node runs as Segment does:
subscriptions, mappings, validation, action. Compared are the bodies' bytes, keys in their order.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from destination_router.contract.javascript import json_text
from destination_router.pipeline.connection import Connection
from destination_router.pipeline.mapping.field_mapping import compile_mapping
from destination_router.pipeline.normalise import parse_message
from destination_router.pipeline.subscriptions.conditions import compile_condition
from destination_router.pipeline.subscriptions.fql import segment_meaning
from destination_router.pipeline.subscriptions.subscriptions import SubscriptionSource
from destination_router.plugins.loading import load_plugin

Mappings = dict[str, dict[str, Any]]
Reference = Callable[..., list[Any]]

COUNT = 6_000
IDENTITY = {"identity": {"@path": "$.userId"}}
CONNECTIONS = {
    "default": ({}, {}),
    "identity mapped": (
        {"trackEvent": IDENTITY},
        dict.fromkeys(("track", "page", "screen"), IDENTITY),
    ),
}
"""How Segment's mapping is configured, and ours; 6,000 messages each are 12,000."""


def ours(message: dict[str, Any], connection: Connection) -> str:
    decision = connection.decide(json.dumps(message).encode())
    if decision.result == "rejected":
        return "rejected"
    return json.dumps([[request.url, request.json] for request in decision.requests])


def theirs(answer: dict[str, Any]) -> str:
    if "rejected" in answer:
        return "rejected"
    return json.dumps([[request["url"], request["json"]] for request in answer["requests"]])


def segment(mapping: Mappings) -> Connection:
    settings = {"appId": "11", "dialect": "segment"}
    return Connection("heap", load_plugin("heap"), settings, [SubscriptionSource(mapping=mapping)])


@pytest.mark.parametrize("name", CONNECTIONS)
def test_what_segment_sends_is_what_the_dialect_sends(name: str, reference: Reference) -> None:
    """The same requests to the byte, the same messages rejected, the same ones not taken."""
    their_mappings, our_mapping = CONNECTIONS[name]
    connection = segment(our_mapping)
    sent = messages(COUNT)
    answers = reference(sent, mappings=their_mappings)
    assert len(answers) == COUNT
    pairs = [(m, ours(m, connection), theirs(a)) for m, a in zip(sent, answers, strict=True)]
    assert [pair for pair in pairs if pair[1] != pair[2]][:3] == []
    kinds = Counter("rejected" if "rejected" in a else len(a["requests"]) for a in answers)
    assert kinds["rejected"] > COUNT / 20  # the comparison sees each kind of answer
    assert kinds[1] > COUNT / 3
    assert kinds[0] > COUNT / 100
    assert (kinds[2] > COUNT / 10) is (name == "identity mapped")


EVENT: dict[str, Any] = {
    "type": "track",
    "messageId": "m-1",
    "anonymousId": "a-1",
    "event": "Paid",
}
DEVIATIONS = {
    "a timestamp that is no time": ({"timestamp": "soon"}, "rejected", {}),
    "a timestamp in words": (
        {"timestamp": "Nov 22, 2026 10:00 UTC"},
        {"timestamp": "2026-11-22T10:00:00.000Z"},
        {},
    ),
    "properties that are an empty list": ({"properties": []}, "rejected", {}),
    "properties that are empty text": ({"properties": ""}, {}, "rejected"),
    "context traits that are no object": ({"context": {"traits": "x"}}, "rejected", {}),
    "an event in a list": ({"event": ["Paid"]}, {}, "rejected"),
}
"""What differs all the same: the message, what Segment makes of it, what the router does.

Of a sent event: what it has beyond the plain one. docs/moving.md tells of each.
"""


@pytest.mark.parametrize("name", DEVIATIONS)
def test_what_differs_all_the_same(name: str, reference: Reference) -> None:
    """Each deviation that docs/moving.md owns up to is one, and is as it says."""
    fields, segment_makes, router_makes = DEVIATIONS[name]
    message = {**EVENT, **fields}
    (answer,) = reference([message], mappings={})
    assert theirs(answer) == _expected(segment_makes)
    assert ours(message, segment({})) == _expected(router_makes)


def _expected(outcome: dict[str, Any] | str) -> str:
    if isinstance(outcome, str):
        return outcome
    event = {
        "event": "Paid",
        "custom_properties": {"segment_library": "cloud-mode-destination"},
        "idempotency_key": "m-1",
        "user_identifier": {"anonymous_id": "a-1"},
        **outcome,
    }
    body = {"app_id": "11", "events": [event], "library": "server"}
    return json.dumps([["https://heapanalytics.com/api/integrations/track", body]])


TRIGGERS = [
    'type = "track"',
    'type != "track" or event = "Paid"',
    'event = "Paid" and type = "page" or userId != null',
    'type = "track" or event = "Paid" and userId != null',
    'type = "identify" and (userId = "ada" or userId = "42")',
    'type = "track" and !contains(event, "a")',
    'match(event, "Or*") or match(event, "*d")',
    '!match(event, "Or*")',
    "userId = null",
    "properties.total > 0",
    "properties.total != 1",
    "properties.total = 0",
    'properties.a != "v"',
    "properties.a = true",
    "properties.a != true",
    "properties.b != null",
    'contains(context.traits.name, "n")',
    'traits.id = "12" or context.ip = "203.0.113.7"',
]


def test_a_trigger_takes_what_it_takes_in_segment(reference: Reference) -> None:
    """What `import` makes of a saved trigger holds for the same messages as the trigger."""
    sent = messages(1_000)
    verdicts = reference(sent, triggers=TRIGGERS)
    holds = [compile_condition(str(segment_meaning(trigger))) for trigger in TRIGGERS]
    parsed = [parse_message(message) for message in sent]
    for index, trigger in enumerate(TRIGGERS):
        theirs = [verdict[index] for verdict in verdicts]
        assert [holds[index](message) for message in parsed] == theirs, trigger
        assert len(set(theirs)) == 2, f"{trigger} tells nothing from anything"


def path(text: str) -> dict[str, Any]:
    return {"@path": f"$.{text}"}


VALUES = [path(p) for p in ("properties.a", "properties.total", "userId", "name", "context.traits")]
FIELDS = [
    *(
        path(p)
        for p in ("properties.a.b", "properties['a.b']", "properties.a[0].b", "traits.0.b.c")
    ),
    {"@template": "{{event}} of {{ properties.total }} by {{userId}}{{{context.ip}}}{{nothing}}"},
    {"@literal": "x"},
    {"@merge": {"objects": [path("properties"), {"a": "own"}], "direction": "right"}},
    {"@merge": {"objects": [path("context.traits"), {"a": "own"}], "direction": "left"}},
    {"@flatten": {"value": path("properties"), "separator": "."}},
    {"@flatten": {"value": path("properties"), "separator": "_", "omitArrays": True}},
    {"@arrayPath": ["$.properties.a", {"id": path("id"), "all": path("b")}]},
    {"@arrayPath": ["$.properties.b"]},
    {"@transform": {"apply": {"in": path("properties")}, "mapping": path("in.a")}},
    *(
        {directive: {**options, key: value}}
        for value in VALUES
        for directive, key, options in (
            ("@if", "exists", {"then": 1, "else": 2}),
            ("@if", "blank", {"then": 1}),
            ("@case", "value", {"operator": "upper"}),
            ("@replace", "value", {"pattern": "A", "replacement": "z", "ignorecase": True}),
            ("@replace", "value", {"pattern": ".", "global": False, "pattern2": "v"}),
            ("@json", "value", {"mode": "encode"}),
            ("@json", "value", {"mode": "decode"}),
        )
    ),
    *({"@excludeWhenNull": value} for value in VALUES),
    {"a": [path("properties.a"), 1], "b": {"c": path("nothing"), "d": None}},
]


def with_name(message: dict[str, Any]) -> dict[str, Any]:
    """Write a page's or screen's name at the root, where alone Segment looks for it."""
    name = getattr(parse_message(message), "name", None)
    return (
        {**message, "name": name}
        if name and not str(message.get("name") or "").strip()
        else message
    )


def test_a_mapping_gives_what_it_gives_in_segment(reference: Reference) -> None:
    """Every directive comes to the same value, on messages plain and odd."""
    sent = [with_name(m) for m in messages(1_500) if isinstance(m.get("properties"), dict)]
    compiled = [compile_mapping({"field": field}) for field in FIELDS]
    for message, made in zip(sent, reference(sent, fields=FIELDS), strict=True):
        parsed = parse_message(message)
        for field, evaluate, theirs in zip(FIELDS, compiled, made, strict=True):
            assert json_text(evaluate(parsed)) == json_text(theirs), (field, message)


# -- traffic: messages as senders write them, plain and odd; the same ones every time ------------

_NAMES = ("Paid", "Order Completed", "a.b", "", " ", "Größe", "x" * 40)
_KEYS = (
    "a",
    "b",
    "total",
    "a.b",
    "name",
    "0",
    "10",
    "01",
    "id",
    "anonymous_id",
    "Favourite Colour",
)
_IDS = ("ada", "a-1", "grace", "ada@example.com", " padded ", "0", "null", "undefined", "", "  ")
_ODD_IDS = (*_IDS, *_IDS, None, 0, 42, 4.5, 1e21, 1e-7, -0.0, True, False)
_TIMES = (
    "2026-11-22T10:00:00Z",
    "2026-11-22T10:00:00.123Z",
    "2026-11-22T10:00:00.123456Z",
    "2026-11-22T11:30:00.000+01:30",
    "2026-11-22T10:00:00-0800",
    "2026-11-22T10:00:00",
    "2026-11-22T10:00",
    "2026-11-22 10:00:00",
    "2026-11-22",
    "1969-12-31T23:59:59.999Z",
    1_700_000_000_000,
    1_700_000_000_123,
    None,
    "",
)
_NUMBERS = (0, 1, -1, 1.0, 0.1, -0.0, 1e21, 1e-7, 123456789012345680000, 2**53, 5e-324, 1.5e300)
_TEXTS = ("", "v", "ünï", "null", "0", "12", "true", "a\nb", "\N{PARTY POPPER}")


def messages(count: int) -> list[dict[str, Any]]:
    """Give so many messages of all six calls."""
    chance = random.Random(20261122)
    return [_message(chance, index) for index in range(count)]


def _message(chance: random.Random, index: int) -> dict[str, Any]:
    kind = chance.choice(("track", "track", "track", "page", "screen", "identify", "identify"))
    if chance.random() < 0.02:
        kind = chance.choice(("group", "alias"))
    message: dict[str, Any] = {"type": kind, "messageId": f"m-{index:08}"}
    _put(chance, message, "userId", 0.8, _ODD_IDS)
    _put(chance, message, "anonymousId", 0.8, _ODD_IDS)
    _put(chance, message, "timestamp", 0.7, _TIMES)
    _put(chance, message, "originalTimestamp", 0.3, _TIMES[:5])
    if kind == "track":
        _put(chance, message, "event", 0.9, (*_NAMES, None, 5, True))
    _put(chance, message, "name", 0.4 if kind == "track" else 0.8, (*_NAMES, "0", None, 0, 5, True))
    _put(chance, message, "category", 0.2, _NAMES)
    if kind in ("identify", "group"):
        _put_object(chance, message, "traits", 0.8)
    else:
        _put_object(chance, message, "properties", 0.9)
    if chance.random() < 0.5:
        context: dict[str, Any] = {"ip": "203.0.113.7", "locale": "en-GB"}
        _put_object(chance, context, "traits", 0.7)
        message["context"] = context
    return message


def _put(
    chance: random.Random, to: dict[str, Any], name: str, often: float, values: tuple[Any, ...]
) -> None:
    if chance.random() < often:
        to[name] = chance.choice(values)


def _put_object(chance: random.Random, to: dict[str, Any], name: str, often: float) -> None:
    if chance.random() < often:
        to[name] = None if chance.random() < 0.05 else _object(chance, 3)


def _object(chance: random.Random, depth: int) -> dict[str, Any]:
    return {chance.choice(_KEYS): _value(chance, depth) for _ in range(chance.randrange(5))}


def _value(chance: random.Random, depth: int) -> Any:
    roll = chance.random()
    if depth and roll < 0.15:
        return _object(chance, depth - 1)
    if depth and roll < 0.3:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if roll < 0.5:
        return chance.choice(_NUMBERS)
    if roll < 0.6:
        return chance.choice((True, False, None))
    return chance.choice(_TEXTS)
