"""Mappings: compiled once, refused with the path into them, total over every message.

Modules: `field_mapping.py`, `compiler.py`, `directives.py`, `liquid.py`, `pipeline/paths.py`,
`pipeline/subscriptions/subscriptions.py`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.config.router_toml import ConnectionConfig, SubscriptionConfig
from destination_router.contract.messages import Identify, Message, Page, Track
from destination_router.contract.records import Field, Reject
from destination_router.pipeline.connection import Connection, Decision
from destination_router.pipeline.mapping.directives import DIRECTIVES
from destination_router.pipeline.mapping.field_mapping import FieldMapping, compile_mapping
from destination_router.pipeline.normalise import normalise, parse_message
from destination_router.pipeline.subscriptions.subscriptions import (
    SubscriptionSource,
    subscription_sources,
)
from destination_router.plugins.loading import load_plugin
from destination_router.settings.errors import SettingsError

MESSAGE = parse_message(
    {
        "type": "track",
        "messageId": "m-1",
        "userId": "ada",
        "anonymousId": None,
        "event": "Paid",
        "properties": {"n": None, "zero": 0, "text": "", "list": [1, {"a": 2}], "yes": True},
        "context": {"traits": {"email": "ada@example.com"}, "ip": "::1"},
        "email": "root@example.com",
    }
)
NOTHING = "nothing"


def evaluate(mapping: Any, message: Message = MESSAGE) -> Any:
    """What a mapping gives; NOTHING where the field would be left out."""
    return compile_mapping({"field": mapping})(message).get("field", NOTHING)


def problems(mapping: Any) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        compile_mapping(mapping)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.userId", "ada"),
        ("userId", "ada"),
        ("$.type", "track"),
        ("$.messageId", "m-1"),
        ("$.anonymousId", None),
        ("$.groupId", NOTHING),
        ("$.timestamp", NOTHING),
        ("$.email", "root@example.com"),
        ("$.context.traits.email", "ada@example.com"),
        ("$.context.ip", "::1"),
        ("$.context.none.x", NOTHING),
        ("$.properties.list[1].a", 2),
        ("$.properties.list.1.a", 2),
        ("$.properties['list'][0]", 1),
        ("$.properties.list[2]", NOTHING),
        ("$.properties.n", None),
        ("$.properties.n.x", None),
        ("$.properties.zero.x", 0),
        ("$.properties.yes.x", NOTHING),
    ],
)
def test_a_path_leads_to_what_the_sender_wrote(path: str, value: Any) -> None:
    """Absent is left out, null is kept, and a path past a falsy value gives that value."""
    assert evaluate({"@path": path}) == value


def test_the_whole_message_has_a_path() -> None:
    """`$` is the message as it came."""
    whole = evaluate({"@path": "$"})
    assert whole["email"] == "root@example.com"
    assert whole["type"] == "track"
    assert whole["context"]["ip"] == "::1"


@pytest.mark.parametrize(
    ("blank", "holds"),
    [
        ({"@path": "$.none"}, False),
        ({"@path": "$.properties.n"}, False),
        ("", False),
        (0, False),
        (False, False),
        ([], False),
        ("0", True),
        ("x", True),
        ({}, True),
        ([0], True),
    ],
)
def test_blank_is_loosely_equal_to_empty_text(blank: Any, holds: bool) -> None:  # noqa: FBT001
    """`blank` holds for what is something, as JavaScript's `!= ''` has it."""
    assert evaluate({"@if": {"blank": blank, "then": "then", "else": "else"}}) == (
        "then" if holds else "else"
    )


@pytest.mark.parametrize(
    ("mapping", "value"),
    [
        ({"@if": {"exists": {"@path": "$.none"}, "then": 1}}, NOTHING),
        ({"@case": {"operator": "upper", "value": 5}}, 5),
        ({"@case": {"operator": "upper", "value": {"@path": "$.none"}}}, NOTHING),
        ({"@replace": {"value": "a.b.c", "pattern": ".", "global": False}}, "ab.c"),
        ({"@replace": {"value": "aAa", "pattern": "A", "ignorecase": True}}, ""),
        ({"@replace": {"value": 1.0, "pattern": "1", "replacement": "\\1"}}, "\\1"),
        ({"@replace": {"value": {"@path": "$.none"}, "pattern": "1"}}, ""),
        (
            {"@arrayPath": ["$.context.traits", {"e": {"@path": "email"}}]},
            [{"e": "ada@example.com"}],
        ),
        ({"@arrayPath": ["$.properties.list"]}, [1, {"a": 2}]),
        ({"@arrayPath": ["$.none", {"e": 1}]}, NOTHING),
        (
            {"@merge": {"objects": [{"a": 1}, {"a": 2, "b": 3}], "direction": "left"}},
            {"a": 1, "b": 3},
        ),
        ({"@merge": {"objects": [None, "x", ["y"]], "direction": "right"}}, {"0": "y"}),
        ({"@flatten": {"value": "text", "separator": "."}}, "text"),
        ({"@json": {"mode": "encode", "value": {"@path": "$.none"}}}, NOTHING),
        ({"@json": {"mode": "encode", "value": 1.0}}, "1"),
        ({"@path": {"@template": "$.properties.{{none}}zero"}}, 0),
        ({"@liquid": "{{ properties.none.x }}"}, ""),
        ({"@liquid": "{{ 1 | divided_by: 0 }}"}, NOTHING),
        ([{"@path": "$.none"}, {"@path": "$.event"}], [None, "Paid"]),
        ({"@path": "$.event", "_metadata": {"label": "Event"}}, "Paid"),
    ],
)
def test_the_corners_of_directives(mapping: Any, value: Any) -> None:
    """What a directive gives where its example does not say."""
    assert evaluate(mapping) == value


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"a": {"@pth": "$.x"}}, "a.@pth: is no directive; did you mean @path?"),
        ({"@path": "$.x", "@case": {}}, "has @path and @case; a directive stands alone"),
        ({"@path": "$.x", "b": 1}, "has b beside @path; a directive stands alone"),
        ({"@path": 5}, "@path: must be text"),
        ({"@if": {"then": 1}}, "@if: needs exists or blank"),
        ({"@if": {"exists": 1, "thn": 1}}, "@if.thn: is not known here"),
        (
            {"@case": {"operator": "title", "value": 1}},
            "@case.operator: must be one of lower, upper",
        ),
        ({"@case": {"value": 1}}, "@case.operator: is required"),
        ({"@replace": {"value": 1, "pattern": ""}}, "@replace.pattern: must be text of at least"),
        ({"@replace": {"value": 1, "pattern": "x", "global": 1}}, "@replace.global: must be true"),
        ({"@arrayPath": "$.x"}, "@arrayPath: must be a list"),
        ({"@arrayPath": ["$.x", 1]}, "@arrayPath.1: must be an object"),
        ({"@merge": {"objects": {}, "direction": "right"}}, "@merge.objects: must be a list"),
        ({"@merge": {"objects": [], "direction": "up"}}, "@merge.direction: must be one of"),
        ({"@transform": {"apply": 1, "mapping": {}}}, "@transform.apply: must be an object"),
        ({"@flatten": {"value": 1, "separator": ""}}, "@flatten.separator: must be text"),
        ({"@json": {"mode": "x", "value": 1}}, "@json.mode: must be one of encode, decode"),
        ({"@liquid": "x" * 1001}, "@liquid: has 1001 characters; at most 1000 are allowed"),
        ({"@liquid": "{% for a in b %}{% endfor %}"}, "@liquid: is no Liquid template"),
        ({"@liquid": "{{ x "}, "@liquid: is no Liquid template"),
        ({"a": [{"@template": 1}]}, "a.0.@template: must be text"),
        ({"@excludeWhenNull": {"@no": 1}}, "@excludeWhenNull.@no: is no directive"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(mapping: Any, path: str) -> None:
    """A mapping that cannot work is refused when it is loaded."""
    assert problems(mapping)[0].startswith(path)


@pytest.mark.parametrize("tag", ["case", "for", "include", "layout", "render", "tablerow"])
def test_liquid_tags_that_loop_or_include_are_off(tag: str) -> None:
    """A template cannot run for ever, nor read files."""
    assert problems({"@liquid": f"{{% {tag} x %}}"})


# -- in a connection ----------------------------------------------------------------------------


def decide(message: dict[str, Any], *takes: SubscriptionSource, **more: Any) -> Decision:
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", **more}, takes)
    return connection.decide(json.dumps({"messageId": "m-00000001", **message}).encode())


PAID = {"type": "track", "userId": "ada", "event": "Paid", "properties": {"total": 9.5}}


def mapped(message: dict[str, Any], **track: Any) -> Decision:
    return decide(message, SubscriptionSource(mapping={"track": track}))


def test_an_overridden_field_takes_the_place_of_its_part() -> None:
    """The plugin sees the mapped values as if the sender had written them."""
    decision = mapped(
        PAID,
        event={"@template": "{{event}}!"},
        properties={"sum": {"@path": "$.properties.total"}},
        message_id={"@literal": "k-1"},
        timestamp={"@literal": "2026-11-22T10:00:00Z"},
        traits={"plan": "pro"},
        name={"@literal": "checkout"},
    )
    profile, event = decision.requests
    assert profile.json["properties"] == {"plan": "pro"}
    assert event.json == {
        "app_id": "11",
        "event": "Paid!",
        "identity": "ada",
        "properties": {"sum": 9.5, "name": "checkout"},
        "timestamp": "2026-11-22T10:00:00.000Z",
        "idempotency_key": "k-1",
    }
    assert event.message_ids == ("m-00000001",)  # what the log knows it by stays


def test_a_mapped_value_is_made_well_formed() -> None:
    """A number in the place of an id becomes text, with a note that names the mapping."""
    decision = mapped(PAID, identity={"@literal": 42})
    assert decision.requests[0].json["identity"] == "42"
    assert [(note.code, note.path) for note in decision.notes] == [
        ("converted", "mapping.track.identity")
    ]


def test_a_mapped_identity_is_guarded_like_any_other() -> None:
    """A mapping cannot smuggle a placeholder past the firewall."""
    decision = mapped(PAID, identity={"@literal": "null"})
    assert decision.reject is not None
    assert decision.reject.code == "unsafe_identity"


def test_a_mapped_identity_that_is_absent_is_not_replaced() -> None:
    """Half of a user's events under another identity would make two users."""
    decision = mapped({**PAID, "anonymousId": "a-1"}, identity={"@path": "$.traits.email"})
    (event,) = decision.requests[0].json["events"]
    assert event["user_identifier"] == {"anonymous_id": "a-1"}


def test_a_value_that_does_not_fit_rejects_the_message() -> None:
    """Properties are an object, wherever they come from."""
    decision = mapped(PAID, properties={"@path": "$.event"})
    assert decision.reject is not None
    assert (decision.reject.code, decision.reject.detail.partition(":")[0]) == (
        "invalid_type",
        "mapping.track.properties",
    )


def test_a_mapped_type_makes_another_call() -> None:
    """A track whose type is mapped to page is a page, with its name."""
    decision = mapped({**PAID, "name": "Pricing"}, type={"@literal": "page"})
    assert decision.requests[0].json["event"] == "Page viewed"
    assert decision.requests[0].json["properties"] == {"total": 9.5, "name": "Pricing"}


def test_a_message_id_that_is_mapped_to_nothing_stays() -> None:
    """Without a key a repeat would count twice."""
    decision = mapped(PAID, message_id={"@path": "$.none"})
    assert decision.requests[0].json["idempotency_key"] == "m-00000001"
    assert [note.code for note in decision.notes] == ["dropped"]


def test_each_subscription_has_its_own_mapping() -> None:
    """A message that two subscriptions take is sent once for each."""
    takes = (
        SubscriptionSource(
            subscription='event = "Paid"', mapping={"track": {"event": {"@literal": "A"}}}
        ),
        SubscriptionSource(
            subscription='type = "track"', mapping={"track": {"event": {"@literal": "B"}}}
        ),
        SubscriptionSource(subscription='type = "page"'),
    )
    assert [r.json["event"] for r in decide(PAID, *takes).requests] == ["A", "B"]
    assert [r.json["event"] for r in decide({**PAID, "event": "x"}, *takes).requests] == ["B"]
    alias = decide({"type": "alias", "userId": "ada", "previousId": "a"}, *takes)
    assert (alias.result, alias.reason) == (
        "filtered",
        "no subscription of the connection takes it",
    )


def test_a_rejection_beside_requests_is_a_note() -> None:
    """What one subscription cannot map does not lose what another sends; the note names it."""
    config = ConnectionConfig(
        name="heap",
        plugin="heap",
        subscriptions=(
            SubscriptionConfig(subscription='event = "Refunded"'),
            SubscriptionConfig(subscription='type = "track"'),
            SubscriptionConfig(mapping={"track": {"event": {"@literal": ""}}}),
        ),
    )
    takes = subscription_sources(config)
    decision = decide(PAID, *takes)
    assert decision.result == "requests"
    (note,) = decision.notes
    assert (note.code, note.path) == ("missing_event", "subscriptions.2")
    assert note.detail.startswith("not sent: event: ")
    rejected = decide(PAID, takes[2], takes[2])
    assert rejected.reject is not None
    assert rejected.reject.code == "missing_event"


def test_problems_of_all_subscriptions_are_told_at_once() -> None:
    """Each problem has its path in the connection."""
    takes = (
        SubscriptionSource(subscription='type = "track', where="subscriptions.0"),
        SubscriptionSource(mapping={"trak": {"event": 1}}, where="subscriptions.1"),
        SubscriptionSource(mapping={"track": {"evnt": 1}}, where="subscriptions.2"),
    )
    with pytest.raises(SettingsError) as refused:
        decide(PAID, *takes)
    assert [str(problem) for problem in refused.value.problems] == [
        "subscriptions.0.subscription: at character 8: the text is never closed",
        "subscriptions.1.mapping.trak: is not known here; did you mean track?",
        "subscriptions.2.mapping.track.evnt: is not known here; did you mean event?",
    ]


def test_the_default_of_a_field_costs_nothing() -> None:
    """A saved mapping that repeats the defaults is no mapping at all."""
    field = Field(
        name="event", type="string", description="", default={"@path": "$.event"}, part="event"
    )
    mapping = FieldMapping({"track": {"event": {"@path": "$.event"}}}, {"track": [field]})
    assert mapping.apply(MESSAGE).message is MESSAGE


@pytest.mark.parametrize("kind", [Identify, Page, Track])
def test_a_message_made_by_hand_can_be_mapped(kind: type[Message]) -> None:
    """A message that never was JSON has no other fields, and no error either."""
    made = kind(message_id="m-1", user_id="ada")
    assert evaluate([{"@path": "$.userId"}, {"@path": "$.email"}], made) == ["ada", None]


# -- whatever comes -----------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
plain_keys = st.text(max_size=4).filter(lambda key: not key.startswith("@"))
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_keys, inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from(
    [
        "$",
        "$.",
        "$.properties",
        "$.properties.a[0].b",
        "$.context.traits.x",
        "$.userId",
        "$.x",
        "type",
    ]
)
mappings = st.recursive(
    scalars | st.builds(lambda path: {"@path": path}, paths),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(plain_keys, inner, max_size=2)
        | st.builds(lambda v, t: {"@if": {"exists": v, "then": t}}, inner, inner)
        | st.builds(lambda v, t: {"@if": {"blank": v, "else": t}}, inner, inner)
        | st.builds(lambda v: {"@case": {"operator": "upper", "value": v}}, inner)
        | st.builds(lambda v: {"@replace": {"value": v, "pattern": "a"}}, inner)
        | st.builds(lambda p, v: {"@arrayPath": [p, {"x": v}]}, paths, inner)
        | st.builds(lambda a, b: {"@merge": {"objects": [a, b], "direction": "left"}}, inner, inner)
        | st.builds(lambda v: {"@flatten": {"value": v, "separator": "_"}}, inner)
        | st.builds(
            lambda v, m: {"@json": {"mode": m, "value": v}},
            inner,
            st.sampled_from(["encode", "decode"]),
        )
        | st.builds(lambda v: {"@excludeWhenNull": v}, inner)
        | st.builds(lambda v: {"@transform": {"apply": {"y": v}, "mapping": {"@path": "y"}}}, inner)
        | st.builds(lambda p: {"@template": "{{" + p + "}} {{{x}}}"}, paths)
    ),
    max_leaves=6,
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "track", "page", "screen", "group", "alias"])},
    optional={
        "userId": scalars,
        "properties": st.dictionaries(plain_keys | st.just("a"), json_values, max_size=3),
        "traits": st.dictionaries(plain_keys, json_values, max_size=3),
        "context": st.fixed_dictionaries({"traits": st.dictionaries(plain_keys, json_values)}),
        "x": json_values,
    },
)


@settings(deadline=None)
@given(json_values)
def test_a_mapping_without_directives_is_the_identity(value: Any) -> None:
    """A raw value stands for itself."""
    assert compile_mapping(value)(MESSAGE) == value


@settings(deadline=None)
@given(json_values)
def test_json_encoded_and_decoded_is_the_identity(value: Any) -> None:
    """`@json` loses nothing, not even the digits of large numbers."""
    encoded = compile_mapping({"@json": {"mode": "encode", "value": {"@literal": value}}})(MESSAGE)
    assert compile_mapping({"@json": {"mode": "decode", "value": encoded}})(MESSAGE) == value


@settings(deadline=None, max_examples=300)
@given(mappings, messages)
def test_a_mapping_never_raises(mapping: Any, content: dict[str, Any]) -> None:
    """Whatever the mapping and the message, what cannot be had is absent."""
    message = normalise(json.dumps(content).encode()).message
    json.dumps(compile_mapping({"field": mapping})(message))


def test_a_message_too_deep_for_a_directive_is_rejected() -> None:
    """What would break the stack is a rejection with a code."""
    depth = 900 if sys.version_info < (3, 12) else 9_000  # what can be decoded, but not walked
    deep = b"[" * depth + b"]" * depth
    raw = (
        b'{"type":"track","messageId":"m","userId":"u","event":"e","properties":{"a":'
        + deep
        + b"}}"
    )
    flat = {"@json": {"mode": "encode", "value": {"@path": "$.properties"}}}
    fields = {"track": [Field(name="event", type="string", description="", part="event")]}
    mapping = FieldMapping({"track": {"event": flat}}, fields)
    with pytest.raises(Reject) as rejected:
        mapping.apply(normalise(raw).message)
    assert rejected.value.code == "too_deep"


def test_every_directive_is_among_those_that_are_thrown_about() -> None:
    """A new directive has to join the property tests."""
    untried = {"@literal", "@liquid"}
    tried = {name for name in DIRECTIVES if name in str(EVERY_NAME)}
    assert tried | untried == set(DIRECTIVES)


EVERY_NAME = [
    "@path", "@if", "@case", "@replace", "@arrayPath", "@merge", "@flatten", "@json",
    "@excludeWhenNull", "@transform", "@template",
]  # fmt: skip


def test_a_mapping_that_is_nested_too_deeply_is_refused() -> None:
    """What compiles goes down into it, and so does every message afterwards."""
    mapping: Any = "x"
    for _ in range(2000):
        mapping = {"@case": {"operator": "lower", "value": mapping}}
    with pytest.raises(SettingsError) as refused:
        FieldMapping({"track": {"event": mapping}}, {"track": []})
    (problem,) = refused.value.problems
    assert problem.path.startswith("mapping.track.event.@case.value")
    assert problem.detail == "is nested deeper than 100 levels"
