"""FQL: parsed with positions, printed back, and never surprised by a message.

Modules: `fql.py`, `conditions.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.pipeline.normalise import normalise, parse_message
from destination_router.pipeline.subscriptions import fql
from destination_router.pipeline.subscriptions.conditions import compile_condition, possible_calls


def holds(text: str, **content: Any) -> bool:
    message = parse_message({"type": "track", "messageId": "m", **content})
    return compile_condition(text)(message)


@pytest.mark.parametrize(
    ("text", "content", "expected"),
    [
        ('type = "track"', {}, True),
        ('type != "track"', {}, False),
        ('event = "Paid"', {"event": "Paid"}, True),
        ('event != "Paid"', {}, True),
        ('userId = "5"', {"userId": "5"}, True),
        ('userId = "5"', {"userId": 5}, False),
        ('properties.n = "5"', {"properties": {"n": 5}}, False),
        ('properties.n != "5"', {"properties": {"n": 5}}, True),
        ("properties.n = 5", {"properties": {"n": 5.0}}, True),
        ("properties.n = 5", {"properties": {"n": "5"}}, False),
        ("properties.n != 5", {"properties": {"n": 6}}, True),
        ("properties.n != 5", {"properties": {"n": "6"}}, False),
        ("properties.n != 5", {}, False),
        ("properties.n = 1", {"properties": {"n": True}}, False),
        ("properties.n >= 5", {"properties": {"n": 5}}, True),
        ("properties.n < 5", {"properties": {"n": "4"}}, False),
        ("properties.n = null", {}, True),
        ("properties.n = null", {"properties": {"n": None}}, True),
        ("properties.n != null", {"properties": {"n": 0}}, True),
        ("properties.n = true", {"properties": {"n": True}}, True),
        ("properties.n = true", {"properties": {"n": "true"}}, False),
        ("properties.n = false", {"properties": {"n": False}}, True),
        ("properties.n = false", {}, False),
        ('contains(event, "ai")', {"event": "Paid"}, True),
        ('!contains(event, "ai")', {"event": "Paid"}, False),
        ('!contains(event, "ai")', {}, False),
        ('match(event, "Pa*")', {"event": "Paid"}, True),
        ('match(event, "*id")', {"event": "Paid"}, True),
        ('!match(event, "*id")', {"event": "Bought"}, True),
        ('!match(properties.n, "*id")', {"properties": {"n": 5}}, False),
        ('traits.plan = "pro"', {"traits": {"plan": "pro"}}, True),
        ('context.traits.plan = "pro"', {"context": {"traits": {"plan": "pro"}}}, True),
        ('context.ip = "::1"', {"context": {"ip": "::1"}}, True),
        ('name = "Home"', {"name": "Home"}, True),
        (r"properties.unit\ price.a\-b > 1", {"properties": {"unit price": {"a-b": 2}}}, True),
        ("properties.items.0.n = 1", {"properties": {"items": [{"n": 1}]}}, True),
        ("properties.items[0].n = 1", {"properties": {"items": [{"n": 1}]}}, True),
        ('type = "page" or type = "track" and event = "Paid"', {"event": "Paid"}, True),
        ('type = "page" or type = "track" and event = "Paid"', {"event": "Asked"}, False),
        ('event = "Paid" and type = "page" or type = "track"', {"event": "Asked"}, True),
        ('type = "track" and (type = "page" or event = "Paid")', {"event": "Asked"}, False),
        ('type = "page" or (event = "Paid" and userId != null)', {"event": "Paid"}, False),
        ("event = 'it is \"quoted\"'", {"event": 'it is "quoted"'}, True),
    ],
)
def test_what_a_condition_means(text: str, content: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """Text meets text, numbers meet numbers, and what is absent is null."""
    assert holds(text, **content) is expected


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 1, "it is empty"),
        ("  ", 1, "it is empty"),
        ('type = "track', 8, "the text is never closed"),
        ("type", 5, "expected one of = !="),
        ('type == "track"', 7, "expected text in quotes"),
        ('type = "a" and', 15, "expected a field"),
        ('type = "a" type = "b"', 12, "expected and, or, or the end"),
        ('(type = "a"', 12, "expected a closing parenthesis"),
        ('typ = "a"', 1, "typ is no field"),
        ('event.x = "a"', 1, "event is no field"),
        ("properties = 1", 1, "properties is no field"),
        ('properties.a < "5"', 16, "< compares with a number"),
        ('match(event, "abc")', 14, "match needs a *"),
        ("contains(event, 5)", 17, "contains needs text"),
        ('!type = "a"', 2, "only contains(...) and match(...) can be negated"),
        ("type = track", 8, "expected text in quotes"),
        ("properties.a = 1.", 16, "a number or a field"),
        ("type # 1", 6, "'#' has no meaning here"),
        ("(" * 60 + 'type = "a"' + ")" * 60, 51, "parentheses nest deeper than 50"),
    ],
)
def test_an_error_has_a_position(text: str, position: int, words: str) -> None:
    """A subscription that cannot be parsed says where and why."""
    with pytest.raises(fql.FqlError) as refused:
        fql.parse(text)
    assert refused.value.position == position
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('type = "a" and type = "b" or event = "c"', 'type = "a" or type = "b" or event = "c"'),
        ('type = "a" or type = "b" and event = "c"', 'type = "a" and type = "b" and event = "c"'),
        (
            'type = "a" and (event = "b" or event = "c")',
            'type = "a" and (event = "b" or event = "c")',
        ),
        ("properties.vip != true", 'properties.vip != "true"'),
        ("properties.vip = true", "properties.vip = true"),
    ],
)
def test_what_a_subscription_means_in_segment(text: str, meaning: str) -> None:
    """Whoever moves keeps what a saved trigger did, not what it seems to say."""
    assert str(fql.segment_meaning(text)) == meaning


def test_which_calls_a_subscription_can_take() -> None:
    """What the type alone decides is decided when it is compiled."""
    assert possible_calls('type = "track" or type = "page"') == {"track", "page"}
    assert possible_calls('type = "track" and event = "x"') == {"track"}
    assert len(possible_calls("userId != null")) == 6
    assert possible_calls('type = "nothing"') == frozenset()


# -- print and parse ----------------------------------------------------------------------------

keys = st.text(min_size=1, max_size=5)
fields = st.sampled_from([("type",), ("event",), ("name",), ("userId",)]) | st.builds(
    lambda root, rest: (root, *rest),
    st.sampled_from(["properties", "traits", "context"]),
    st.lists(keys, min_size=1, max_size=3),
)
texts = st.text(max_size=6).filter(lambda text: not ('"' in text and "'" in text))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
comparisons = st.builds(
    fql.Comparison,
    fields,
    st.sampled_from(["=", "!="]),
    texts | numbers | st.booleans() | st.none(),
) | st.builds(fql.Comparison, fields, st.sampled_from(["<", "<=", ">", ">="]), numbers)
tests = st.builds(fql.Test, st.just("contains"), fields, texts, st.booleans()) | st.builds(
    lambda field, text, start, negated: fql.Test(
        "match", field, f"*{text}" if start else f"{text}*", negated
    ),
    fields,
    texts,
    st.booleans(),
    st.booleans(),
)
conditions: st.SearchStrategy[fql.Expression] = st.recursive(
    comparisons | tests,
    lambda inner: st.builds(
        lambda operator, parts: fql.Combination(operator, tuple(parts)),
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "track", "page", "screen", "group", "alias"])},
    optional={
        "userId": st.text(max_size=3),
        "event": st.text(max_size=3),
        "name": st.text(max_size=3),
        "properties": st.dictionaries(keys, json_values, max_size=3),
        "traits": st.dictionaries(keys, json_values, max_size=3),
        "context": st.dictionaries(keys, json_values, max_size=3),
    },
)


@settings(deadline=None, max_examples=300)
@given(conditions)
def test_printed_and_parsed_is_the_identity(condition: fql.Expression) -> None:
    """What is printed means what was parsed."""
    assert fql.parse(str(condition)) == condition


@settings(deadline=None, max_examples=300)
@given(conditions, messages)
def test_evaluation_never_raises(condition: fql.Expression, content: dict[str, Any]) -> None:
    """Whatever the message, a subscription takes it or not."""
    takes = compile_condition(str(condition))
    assert takes(normalise(json.dumps(content).encode()).message) in (True, False)


def test_a_context_that_cannot_be_decoded_is_absent() -> None:
    """A number beyond all numbers in a context does not break a subscription."""
    raw = b'{"type":"track","messageId":"m","context":{"n":1e999,"ip":"::1"}}'
    takes = compile_condition("context.n = null or context.n > 1")
    assert takes(normalise(raw).message) in (True, False)


def test_text_with_both_kinds_of_quotes_cannot_be_written() -> None:
    """FQL has no escapes in text."""
    with pytest.raises(ValueError, match="both kinds of quotes"):
        fql.literal("\"'")
    assert fql.literal('"') == "'\"'"
