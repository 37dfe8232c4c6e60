"""Messages: what a destination can read from a call."""

from typing import Any

import msgspec
import pytest

from destination_router import Alias, Group, Identify, Page, Reject, Screen, Track, parse_message
from destination_router.contract.messages import (
    MESSAGE_TYPES,
    ContextPart,
    Message,
    revised,
    with_mapped,
    with_wire,
)

CALLS = [Identify, Track, Page, Screen, Group, Alias]


def test_a_type_on_the_wire_is_a_class() -> None:
    """The six calls are told apart by `type`; each class carries its name."""
    assert list(MESSAGE_TYPES.values()) == CALLS
    for name, call in MESSAGE_TYPES.items():
        raw = msgspec.json.encode({"type": name, "messageId": "m"})
        assert type(msgspec.json.decode(raw, type=Message)) is call


def test_names_are_camel_case_on_the_wire_and_snake_case_in_python() -> None:
    """The wire's spelling is RudderStack's, the attributes' is Python's."""
    raw = (
        b'{"type":"alias","messageId":"m","userId":"u","anonymousId":"a","previousId":"p",'
        b'"timestamp":"t","originalTimestamp":"o","sentAt":"s","receivedAt":"r","channel":"web",'
        b'"integrations":{"All":true},"context":{"ip":"1.2.3.4","traits":{"plan":"pro"}}}'
    )
    message = msgspec.json.decode(raw, type=Message)
    expected = Alias(
        message_id="m",
        user_id="u",
        anonymous_id="a",
        previous_id="p",
        timestamp="t",
        original_timestamp="o",
        sent_at="s",
        received_at="r",
        channel="web",
        integrations={"All": True},
        context_part=ContextPart(traits={"plan": "pro"}),
    )
    assert message == expected


@pytest.mark.parametrize("call", CALLS)
def test_a_message_needs_nothing_but_its_id(call: type[Any]) -> None:
    """Absent fields are None, objects are empty, so that no destination has to ask."""
    message = call(message_id="m")
    assert (message.user_id, message.timestamp) == (None, None)
    assert (message.context, message.context_traits, message.integrations) == ({}, {}, {})


@pytest.mark.parametrize("call", CALLS)
def test_a_message_cannot_be_changed(call: type[Any]) -> None:
    """One message is shown to many connections; none can change it for the others."""
    with pytest.raises(AttributeError):
        call(message_id="m").user_id = "someone else"


def context(raw: bytes) -> Track:
    return with_wire(Track(message_id="m"), b'{"context":' + raw + b"}")


def test_the_context_is_decoded_once() -> None:
    """Whoever asks a second time gets the same object."""
    raw = b'{"traits": {"plan": "pro"}, "locale": "en"}'
    message = parse_message(b'{"type":"track","messageId":"m","context":' + raw + b"}")
    assert message.context_json == msgspec.Raw(raw)
    assert message.context == {"traits": {"plan": "pro"}, "locale": "en"}
    assert message.context is message.context
    assert message.context_traits == {"plan": "pro"}


@pytest.mark.parametrize("raw", [b"{}", b'{"traits": null}', b'{"locale": "en"}'])
def test_context_traits_are_an_object_at_all_events(raw: bytes) -> None:
    """A context without traits has empty ones."""
    message = parse_message(b'{"type":"track","messageId":"m","context":' + raw + b"}")
    assert message.context_traits == {}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
        (b'{"a": 1e999}', "invalid_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "invalid_json"),
    ],
)
def test_a_context_beyond_reading_is_a_rejection(raw: bytes, code: str) -> None:
    """What only the full context holds is found when a destination asks, and named by path."""
    with pytest.raises(Reject) as caught:
        _ = context(raw).context
    assert (caught.value.code, caught.value.path) == (code, "context")


def test_a_context_that_is_given_is_the_context() -> None:
    """A message that was made otherwise than from JSON has the traits that it was given."""
    message = Track(message_id="m", context_part=ContextPart(traits={"plan": "pro"}))
    assert message.context == {"traits": {"plan": "pro"}}
    assert message.context_json == msgspec.Raw(b'{"traits":{"plan":"pro"}}')


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ({}, {}),
        ({"Heap": {"a": 1}}, {"a": 1}),
        ({"HEAP": {"a": 1}}, {"a": 1}),
        ({"heap.io": {"b": 2}}, {"b": 2}),
        ({"Heap.io": {"b": 2}, "heap": {"a": 1}}, {"a": 1}),
        ({"heap": True, "Heap.io": {"b": 2}}, {"b": 2}),
        ({"heap": True}, {}),
        ({"heap": None}, {}),
        ({"All": {"a": 1}}, {}),
    ],
)
def test_options_are_the_first_object_under_a_name_in_any_casing(
    integrations: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A destination finds what is said to it whatever casing the sender uses."""
    message = Track(message_id="m", integrations=integrations)
    assert message.options("heap", "Heap.io") == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"user_id": "u", "anonymous_id": "a"}, ("u", "a")),
        ({"user_id": "u"}, ("u",)),
        ({"anonymous_id": "a"}, ("a",)),
        ({}, ("m",)),
    ],
)
def test_a_message_belongs_to_the_order_of_each_of_its_ids(
    ids: dict[str, str], expected: tuple[str, ...]
) -> None:
    """A message that carries both ids comes after what either sent; one with none stands alone."""
    assert Track(message_id="m", **ids).user_keys == expected


def test_a_field_can_be_read_as_it_was_sent() -> None:
    """What had to be mended, and what had not, are both there as the sender wrote them."""
    message = parse_message({"type": "track", "userId": 42, "anonymousId": " a ", "event": "E"})
    assert (message.user_id, message.anonymous_id) == ("42", "a")
    sent = [message.as_sent(name) for name in ("userId", "anonymousId", "event", "timestamp")]
    assert sent == [42, " a ", "E", None]


def test_what_was_sent_is_gone_once_the_field_is_changed() -> None:
    """A step that hides an id hides it everywhere: its wire form must not shine through."""
    message = parse_message({"type": "track", "userId": " ada "})
    hidden = revised(message, user_id="x9")
    assert (message.as_sent("userId"), hidden.as_sent("userId")) == (" ada ", "x9")


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "track", "messageId": "m", "event": "E", "properties": {"a": {"b": [1, None]}}},
        {"type": "identify", "messageId": "m", "userId": "u", "context": {"traits": {"a": 1}}},
        {"type": "identify", "messageId": "m", "traits": {}, "context": {"traits": {"a": 1}}},
        {"type": "group", "messageId": "m", "groupId": "g", "traits": {"a": 1}, "context": {}},
        {"type": "page", "messageId": "m", "name": "N", "rudderId": "r", "integrations": {}},
    ],
)
def test_a_message_can_be_had_whole(sent: dict[str, Any]) -> None:
    """What came well-formed is given back as it came, with what no call defines."""
    assert parse_message(sent).to_dict() == sent


def test_the_whole_message_leaves_out_what_has_no_value() -> None:
    """The nulls that SDKs write for fields without a value are not passed on."""
    message = parse_message({"type": "track", "messageId": "m", "userId": None, "event": "E"})
    assert message.to_dict() == {"type": "track", "messageId": "m", "event": "E"}


def test_the_whole_message_holds_what_was_mended() -> None:
    """It says the same as the message's fields, also where the wire said something else."""
    message = parse_message({"type": "Track", "messageId": 7, "userId": " u ", "timestamp": "now"})
    assert message.to_dict() == {"type": "track", "messageId": "7", "userId": "u"}


def test_the_whole_message_holds_what_a_connection_made_of_it() -> None:
    """What a mapping replaced does not reach a vendor by the back door."""
    sent = {"type": "track", "messageId": "m", "event": "E", "context": {"traits": {"ssn": "078"}}}
    message = with_mapped(revised(parse_message(sent), event="F"), {"context.traits": {}})
    assert message.to_dict() == {
        "type": "track",
        "messageId": "m",
        "event": "F",
        "context": {"traits": {}},
    }
    assert message.wire == sent
