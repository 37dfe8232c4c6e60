"""A message decoded to its root is the one that a decoder of the six calls makes.

This is about `decoding.py` and `message_root.py`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.contract.messages import (
    MESSAGE_TYPES,
    Message,
    root_names,
    unasked_names,
    with_wire,
)
from destination_router.pipeline.decoding import decode_message
from destination_router.pipeline.message_root import Root

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
decode_any = msgspec.json.Decoder(Message).decode

fields = {field for call in MESSAGE_TYPES.values() for field in call.__struct_encode_fields__}
names = st.sampled_from(
    [
        *sorted(fields),
        "type",
        "rudderId",
        "request_ip",
        "version",
        "metadata",
        "email",
        "_x",
        "user",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("2026-11-22"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["traits", "plan"]), inner, max_size=2)
    ),
    max_leaves=4,
)
proper = st.sampled_from(
    [
        *((name, "t") for name in ("userId", "anonymousId", "event", "name", "category")),
        *((name, "t") for name in ("groupId", "previousId", "channel", "rudderId", "metadata")),
        *((name, {"plan": "pro"}) for name in ("properties", "traits", "context", "integrations")),
        *((name, None) for name in ("userId", "event", "name", "category", "groupId")),
        *((name, {}) for name in ("properties", "traits", "metadata")),
        ("context", {"traits": {"plan": "pro"}}),
        ("email", "ada@example.com"),
        ("user_properties", None),
    ]
)
members = st.lists(proper | st.tuples(names, values), max_size=6)
calls = st.sampled_from([*MESSAGE_TYPES, *MESSAGE_TYPES, "nope", " Track"])


@st.composite
def wire(draw: st.DrawFn) -> bytes:
    """Write a message, with members that are odd, foreign or there twice, in any order."""
    some: list[tuple[str, Any]] = [("type", draw(calls)), ("messageId", "m"), *draw(members)]
    written = [
        f"{json.dumps(name)}:{json.dumps(value)}" for name, value in draw(st.permutations(some))
    ]
    return ("{" + ",".join(written) + "}").encode()


def outcome(decode: Any, raw: bytes) -> Any:
    try:
        message = with_wire(decode(raw), raw)
    except UNDECODABLE:
        return None
    left = {
        name: getattr(message, name) for name in message.__struct_fields__ if name != "context_part"
    }
    return type(message), left, type(left.get("traits")), message.context, unasked_names(message)


@given(wire())
@settings(deadline=None, max_examples=250)
def test_the_message_is_the_same(raw: bytes) -> None:
    """As is what it holds that its call does not define."""
    assert outcome(decode_message, raw) == outcome(decode_any, raw)


@pytest.mark.parametrize("call", list(MESSAGE_TYPES))
def test_what_is_known_at_the_root_is_not_looked_for_again(call: str) -> None:
    """Only a message with more than that is scanned for it."""
    plain = {"type": call, "messageId": "m", "rudderId": "r", "userId": "u"}
    known = decode_message(json.dumps(plain).encode())
    strange = decode_message(json.dumps({**plain, "email": "ada@example.com"}).encode())
    assert "_known_root" in known.__dict__
    assert "_known_root" not in strange.__dict__
    assert "email" in root_names(strange)
    assert unasked_names(strange) == ["email"]


def test_a_root_has_the_fields_of_all_calls() -> None:
    """A field that is new to a call is new here."""
    assert set(Root.__struct_encode_fields__) == {*fields, "type"}


def test_a_number_that_no_float_holds_hides_no_name() -> None:
    """Nobody decodes what an envelope holds, so nobody has refused it."""
    raw = b'{"type": "track", "messageId": "m", "version": 1e400, "email": "a", "_x": 1}'
    message = decode_message(raw)
    assert unasked_names(message) == ["email"]
