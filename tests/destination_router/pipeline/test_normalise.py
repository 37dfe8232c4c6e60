"""Normalise: what any sender writes → what a destination may rely on, or a rejection."""

import json
import math
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import Identify, Message, Note, Reject, Track, parse_message, parse_time
from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.pipeline import normalise as module
from destination_router.pipeline.normalise import Normalised, decode_json, normalise

TYPES = list(MESSAGE_TYPES)
TOO_DEEP = 2_000 if sys.version_info < (3, 12) else 10_000
"""More brackets than the decoder opens: from 3.12 on, Python counts the calls of C apart."""


def wire(**fields: Any) -> bytes:
    """Write a track call as a sender does; `type` and ids may be overridden."""
    return json.dumps({"type": "track", "messageId": "m", "userId": "u", **fields}).encode()


def well_formed(**fields: Any) -> Any:
    return normalise(wire(**fields)).message


def notes(raw: bytes) -> list[tuple[str, str]]:
    return [(note.code, note.path) for note in normalise(raw).notes]


def rejection(raw: bytes) -> Reject:
    with pytest.raises(Reject) as caught:
        normalise(raw)
    return caught.value


# -- ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada", "ada"),
        ("  ada \n", "ada"),
        ("", None),
        (" \t ", None),
        (None, None),
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        (7.0, "7"),
        (7.5, "7.5"),
        (True, "true"),
        (2**53 + 1, "9007199254740993"),
        (10**30 + 7, "1000000000000000000000000000007"),
        ("0", "0"),
    ],
)
def test_ids_are_trimmed_text_or_none(value: object, expected: str | None) -> None:
    """Numbers become text with all their digits, blank is None."""
    user = well_formed(userId=value, anonymousId=value)
    group = well_formed(type="group", groupId=value)
    alias = well_formed(type="alias", previousId=value)
    found = (user.user_id, user.anonymous_id, group.group_id, alias.previous_id)
    assert found == (expected,) * 4


def test_an_id_that_is_changed_leaves_a_note() -> None:
    """A number that became text and blanks that were removed are told."""
    assert notes(wire(userId=7)) == [("converted", "userId")]
    assert notes(wire(anonymousId=" a ")) == [("converted", "anonymousId")]
    assert notes(wire(userId="")) == []


def test_an_id_that_is_not_finite_is_left_out_with_a_note() -> None:
    """`NaN` is nobody's id."""
    raw = b'{"type": "track", "messageId": "m", "userId": NaN, "anonymousId": -Infinity}'
    message = normalise(raw).message
    assert (message.user_id, message.anonymous_id) == (None, None)
    assert notes(raw) == [("dropped", "userId"), ("dropped", "anonymousId")]


@pytest.mark.parametrize("message_id", [None, "", "  "])
def test_a_missing_message_id_is_made_from_the_bytes(message_id: str | None) -> None:
    """The same bytes get the same id, other bytes another; a caller's own choice is taken."""
    raw = wire(messageId=message_id)
    made = normalise(raw).message.message_id
    assert normalise(raw).message.message_id == made
    assert normalise(raw + b" ").message.message_id != made
    assert normalise(raw, message_id="mine").message.message_id == "mine"
    assert normalise(wire(), message_id="mine").message.message_id == "m"


# -- objects ------------------------------------------------------------------------------------

OBJECTS = [
    ("track", "properties"),
    ("page", "properties"),
    ("screen", "properties"),
    ("identify", "traits"),
    ("group", "traits"),
    ("track", "context"),
]


@pytest.mark.parametrize(("kind", "field"), OBJECTS)
@pytest.mark.parametrize("value", ["absent", None, [], {}])
def test_objects_are_objects(kind: str, field: str, value: object) -> None:
    """Absent, null and the empty list that PHP writes are an empty object; the last with a note."""
    fields = {} if value == "absent" else {field: value}
    raw = wire(type=kind, **fields)
    assert getattr(normalise(raw).message, field) == {}
    assert notes(raw) == ([("converted", field)] if value == [] else [])


WRONG_TYPES = [
    *((kind, field, value) for kind, field in OBJECTS for value in ("x", 5, True, [1])),
    *(
        (kind, field, value)
        for kind, field in (
            ("track", "messageId"),
            ("track", "userId"),
            ("track", "anonymousId"),
            ("track", "event"),
            ("page", "name"),
            ("page", "category"),
            ("screen", "name"),
            ("group", "groupId"),
            ("alias", "previousId"),
        )
        for value in ([], ["x"], {}, {"x": 1})
    ),
]


@pytest.mark.parametrize(("kind", "field", "value"), WRONG_TYPES)
def test_a_wrong_type_is_rejected_with_the_path_of_the_field(
    kind: str, field: str, value: object
) -> None:
    """What cannot be read as the field's type is named, and its value is not."""
    reject = rejection(wire(type=kind, **{field: value}))
    assert (reject.code, reject.path) == ("invalid_type", field)
    assert reject.detail.startswith(f"{field}: must be ")


@pytest.mark.parametrize("field", ["sentAt", "receivedAt", "channel"])
@pytest.mark.parametrize("value", [5, True, [], {}])
def test_a_field_that_nothing_depends_on_never_rejects(field: str, value: object) -> None:
    """A message is not lost for its `channel`; what is no text is left out with a note."""
    raw = wire(**{field: value})
    assert notes(raw) == [("dropped", field)]
    assert normalise(raw).message.user_id == "u"


@pytest.mark.parametrize(
    ("value", "code"), [("x", "dropped"), (5, "dropped"), ([1], "dropped"), (True, "dropped")]
)
def test_context_traits_of_a_wrong_type_are_left_out(value: object, code: str) -> None:
    """The rest of the context stays as it is."""
    raw = wire(context={"traits": value, "locale": "en"})
    message = normalise(raw).message
    assert (message.context, message.context_traits) == ({"locale": "en"}, {})
    assert notes(raw) == [(code, "context.traits")]


@pytest.mark.parametrize("value", ["x", 5, True, [1]])
def test_integrations_that_are_no_object_keep_the_message_from_everyone(value: object) -> None:
    """As rudder-server does it; a note tells."""
    raw = wire(integrations=value)
    assert normalise(raw).message.integrations == {"All": False}
    assert notes(raw) == [("converted", "integrations")]


@pytest.mark.parametrize(("value", "told"), [(None, []), ([], [("converted", "integrations")])])
def test_integrations_that_stand_for_an_empty_object_keep_it_from_nobody(
    value: object, told: list[tuple[str, str]]
) -> None:
    """PHP writes an empty map as a list, and null is absent."""
    raw = wire(integrations=value)
    assert normalise(raw).message.integrations == {}
    assert notes(raw) == told


def test_names_and_events_that_are_numbers_become_text() -> None:
    """A page named 404 is a page."""
    raw = wire(type="page", name=404, category=True)
    message: Any = normalise(raw).message
    assert (message.name, message.category) == ("404", "true")
    assert notes(raw) == [("converted", "name"), ("converted", "category")]


# -- traits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"plan": "pro"}),
        ({"traits": None}, {"plan": "pro"}),
        ({"traits": {}}, {}),
        ({"traits": []}, {}),
        ({"traits": {"plan": "free"}}, {"plan": "free"}),
    ],
)
@pytest.mark.parametrize("slow", [{}, {"channel": 5}])
def test_an_identify_without_traits_takes_those_of_its_context(
    own: dict[str, Any], expected: dict[str, str], slow: dict[str, Any]
) -> None:
    """RudderStack's SDKs put them there; traits that are given, if empty, stay as given."""
    message = well_formed(type="identify", context={"traits": {"plan": "pro"}}, **own, **slow)
    assert message.traits == expected
    assert message.context_traits == {"plan": "pro"}


def test_a_groups_traits_are_its_own() -> None:
    """The context's traits are the user's, so they do not become the account's."""
    message = well_formed(type="group", groupId="g", context={"traits": {"plan": "pro"}})
    assert message.traits == {}


def test_what_rudder_sdk_python_sends_is_well_formed() -> None:
    """Explicit nulls for absent ids, traits in the context, no `originalTimestamp`."""
    raw = wire(
        type="identify",
        userId="ada",
        anonymousId=None,
        messageId="3be28bd3-c03b-4ecd-95eb-5217778ad20e",
        timestamp="2026-11-22T10:00:00.000000+00:00",
        channel="server",
        integrations={"All": True},
        context={"library": {"name": "analytics-python"}, "traits": {"email": "ada@example.com"}},
        name=None,
        category=None,
    )
    normalised = normalise(raw)
    assert normalised.notes == ()
    assert isinstance(normalised.message, Identify)
    assert normalised.message.traits == {"email": "ada@example.com"}
    assert normalised.message.anonymous_id is None


# -- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["timestamp", "originalTimestamp"])
@pytest.mark.parametrize(
    ("value", "expected", "code"),
    [
        ("2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00.000Z", None),
        ("2026-11-22 10:00", "2026-11-22 10:00", None),
        (None, None, None),
        ("yesterday", None, "invalid_timestamp"),
        ("", None, "invalid_timestamp"),
        (True, None, "invalid_timestamp"),
        ({}, None, "invalid_timestamp"),
        (10**400, None, "invalid_timestamp"),
        (math.inf, None, "invalid_timestamp"),
        ("0001-01-01T00:00:00Z", None, "invalid_timestamp"),
        ("1790000000", "2026-09-21T14:13:20.000Z", "converted"),
        ("1790000000000", "2026-09-21T14:13:20.000Z", "converted"),
        (1_790_000_000, "2026-09-21T14:13:20.000Z", "converted"),
        (1_790_000_000_000, "2026-09-21T14:13:20.000Z", "converted"),
    ],
)
def test_a_time_is_valid_or_none(
    field: str, value: object, expected: str | None, code: str | None
) -> None:
    """A time that cannot be read is left out with a note; it never costs the message."""
    raw = wire(**{field: value})
    message = normalise(raw).message
    found = {"timestamp": message.timestamp, "originalTimestamp": message.original_timestamp}
    assert found[field] == expected
    assert notes(raw) == ([] if code is None else [(code, field)])


# -- type ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["Track", "TRACK", " track "])
def test_the_type_is_read_in_any_casing(value: str) -> None:
    """A sender who writes `Track` means track."""
    assert isinstance(well_formed(type=value), Track)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "missing_type"),
        ("", "missing_type"),
        ("  ", "missing_type"),
        ("extract", "unsupported_type"),
        (5, "unsupported_type"),
        (0, "unsupported_type"),
        (False, "unsupported_type"),
        (["track"], "unsupported_type"),
        ({}, "unsupported_type"),
    ],
)
def test_a_type_that_is_no_call_is_rejected(value: object, code: str) -> None:
    """The rejection lists the calls that there are."""
    reject = rejection(wire(type=value))
    assert (reject.code, reject.path) == (code, "type")
    assert all(name in reject.detail for name in TYPES)


def test_a_message_without_a_type_is_rejected() -> None:
    """Absent is like null."""
    assert rejection(b'{"messageId": "m"}').code == "missing_type"


@pytest.mark.parametrize("raw", [b"null", b"5", b'"track"', b"[]", b"true"])
def test_a_message_is_an_object(raw: bytes) -> None:
    """Other JSON is rejected by what it is."""
    assert rejection(raw).code == "not_an_object"


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"{", b"{}x", b"track", b"{'type': 'track'}", b'{"type":}', b"\0", b"\xff"]
)
def test_what_is_not_json_is_rejected_with_the_place(raw: bytes) -> None:
    """The place is told, the text around it is not."""
    reject = rejection(raw)
    assert reject.code == "invalid_json"
    assert " at character " in reject.detail


# -- what real senders write in the place of JSON -----------------------------------------------


def test_nan_and_infinity_are_read() -> None:
    """Python's `json` writes them: the message is kept, the values are for the destination."""
    message = normalise(
        b'{"type":"track","messageId":"m","properties":{"a":NaN,"b":[Infinity,-Infinity],"c":1}}'
    ).message
    assert isinstance(message, Track)
    assert math.isnan(message.properties["a"])
    assert message.properties["b"] == [math.inf, -math.inf]
    assert message.properties["c"] == 1


def test_a_number_too_large_for_a_float_is_infinite() -> None:
    """`1e999` is beyond every JSON reader's numbers; the message is kept."""
    message: Any = normalise(wire()[:-1] + b', "properties": {"a": 1e999, "b": 1}}').message
    assert message.properties == {"a": math.inf, "b": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"\\ud83d"', "\ufffd"),
        (b'"a\\udc00b"', "a\ufffdb"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
        (b'"caf\xe9"', "caf\ufffd"),
    ],
)
@pytest.mark.parametrize(
    ("field", "depth"), [("properties", 0), ("properties", 1), ("context", 0), ("context", 1)]
)
def test_what_utf_8_cannot_carry_is_replaced(
    before: bytes, after: str, field: str, depth: int
) -> None:
    """Half a character and stray bytes become U+FFFD wherever they stand, with a note."""
    value = b'{"a":' * depth + b'{"k":' + before + b"}" + b"}" * depth
    raw = wire()[:-1] + b', "' + field.encode() + b'": ' + value + b"}"
    found: Any = getattr(normalise(raw).message, field)
    for _ in range(depth):
        found = found["a"]
    assert found == {"k": after}
    whole = before == b'"\\ud83d\\ude00"'
    assert notes(raw) == ([] if whole else [("converted", "")])


@pytest.mark.parametrize("value", [b"null", b"1", b'"x"', b"{}", b"[]", b"true"])
@pytest.mark.parametrize("field", [b"properties", b"context", b"integrations"])
def test_half_a_character_in_a_key_is_replaced(value: bytes, field: bytes) -> None:
    """A key is mended as a value is, whatever it holds."""
    raw = wire()[:-1] + b', "' + field + b'": {"\\ud800": ' + value + b"}}"
    found: Any = getattr(normalise(raw).message, field.decode())
    assert found == {"\ufffd": json.loads(value)}


@pytest.mark.parametrize("depth", [TOO_DEEP, 200_000])
@pytest.mark.parametrize("brackets", [(b'{"a":', b"1", b"}"), (b"[", b"", b"]")])
@pytest.mark.parametrize("place", [b"properties", b"context", b"traits", b"unknown", b"whole"])
@pytest.mark.parametrize("slow", [b"", b'"channel": NaN,'])
def test_deep_nesting_is_rejected(
    depth: int, brackets: tuple[bytes, bytes, bytes], place: bytes, slow: bytes
) -> None:
    """A message that is nested beyond reading is one rejection, not the end of the process."""
    opening, middle, closing = brackets
    deep = opening * depth + middle + closing * depth
    raw = deep if place == b"whole" else b'{"type":"track",%b"%b":%b}' % (slow, place, deep)
    assert rejection(raw).code == "too_deep"


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 + 1, 10**30 + 7, -(10**300) - 1])
@pytest.mark.parametrize("slow", [{}, {"channel": 5}])
def test_integers_keep_all_their_digits(number: int, slow: dict[str, int]) -> None:
    """An order number of 20 digits is still the same number, on either road."""
    message = well_formed(properties={"n": number}, context={"n": [number]}, **slow)
    assert (message.properties, message.context) == ({"n": number}, {"n": [number]})


def test_an_integer_of_thousands_of_digits_is_rejected() -> None:
    """Reading it would cost more than any message is worth."""
    reject = rejection(wire()[:-1] + b', "properties": {"n": ' + b"9" * 5000 + b"}}")
    assert (reject.code, reject.detail) == (
        "too_many_digits",
        "send numbers of at most 4300 digits",
    )


@pytest.mark.parametrize("slow", [b"", b', "channel": 5'])
def test_of_a_key_that_is_there_twice_the_last_counts(slow: bytes) -> None:
    """As in JavaScript and Python."""
    raw = b'{"type":"track","messageId":"m","userId":"a","userId":"b","properties":{"k":1,"k":2}'
    message: Any = normalise(raw + slow + b"}").message
    assert (message.user_id, message.properties) == ("b", {"k": 2})


# -- the two roads ------------------------------------------------------------------------------

texts = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(texts, json_values, max_size=4)
proper_ids = st.text(min_size=1, max_size=8).filter(lambda text: text == text.strip())
times = st.datetimes().map(lambda moment: moment.isoformat()) | st.none()
contexts = st.fixed_dictionaries({}, optional={"traits": objects | st.none(), "x": json_values})
optional = {
    "userId": proper_ids | st.none(),
    "anonymousId": proper_ids | st.none(),
    "timestamp": times,
    "originalTimestamp": times,
    "sentAt": texts | st.none(),
    "receivedAt": texts | st.none(),
    "channel": texts | st.none(),
    "integrations": objects,
    "context": contexts,
    "unknown": json_values,
    "event": texts | st.none(),
    "name": texts | st.none(),
    "category": texts | st.none(),
    "properties": objects,
    "traits": objects,
    "groupId": proper_ids | st.none(),
    "previousId": proper_ids | st.none(),
}
proper_messages = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES), "messageId": proper_ids}, optional=optional
)


def comparable(normalised: Normalised) -> Any:
    """A message by its fields, the context by what it holds."""
    message = normalised.message
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return type(message), {**fields, "context": message.context}, normalised.notes


@given(proper_messages, st.booleans())
@settings(deadline=None)
def test_the_fast_and_the_slow_road_lead_to_the_same_message(
    fields: dict[str, Any], escaped: object
) -> None:
    """Which road a well-formed message takes is a matter of speed alone."""
    raw = json.dumps(fields, ensure_ascii=bool(escaped)).encode()
    fast, slow = normalise(raw), module.mended(raw, None)
    assert comparable(fast) == comparable(slow)
    assert fast.notes == ()


# -- anything at all ----------------------------------------------------------------------------

CODES = {"", "invalid_type", "missing_type", "unsupported_type", "not_an_object", "invalid_json"}

any_text = st.text(st.characters(exclude_categories=()), max_size=6)
any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**310)
    | st.floats()
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
any_messages = st.fixed_dictionaries(
    {},
    optional={name: any_values | kind for name, kind in optional.items()}
    | {"type": st.sampled_from(TYPES) | any_values, "messageId": any_values},
)


def code_or_promises(raw: bytes) -> str:
    """Give a rejection's code; of what is not rejected, assert what a destination relies on."""
    try:
        message = normalise(raw).message
    except Reject as reject:
        return reject.code
    promises(message)
    return ""


def promises(message: Message) -> None:
    ids = [message.message_id, message.user_id, message.anonymous_id]
    ids += [getattr(message, name, None) for name in ("group_id", "previous_id")]
    assert message.message_id
    assert all(text is None or (text and text == text.strip()) for text in ids)
    for time in (message.timestamp, message.original_timestamp):
        assert time is None or parse_time(time) is not None
    for name in ("context", "context_traits", "integrations", "properties", "traits"):
        assert isinstance(getattr(message, name, {}), dict)
    for name in ("event", "name", "category"):
        assert isinstance(getattr(message, name, None), str | None)
    msgspec.json.encode(message)


@given(any_values | any_messages)
@settings(deadline=None, max_examples=200)
def test_any_json_keeps_the_promises_or_is_rejected(value: object) -> None:
    """Whatever JSON comes, a destination gets a well-formed message or the sender a code."""
    code = code_or_promises(json.dumps(value).encode())
    assert code in CODES


@given(
    st.binary()
    | st.builds(
        lambda raw, at, junk: raw[: at % len(raw)] + junk + raw[at % len(raw) :],
        any_messages.map(lambda fields: json.dumps(fields, ensure_ascii=True).encode()),
        st.integers(min_value=0),
        st.binary(max_size=4),
    )
)
@settings(deadline=None, max_examples=200)
def test_any_bytes_keep_the_promises_or_are_rejected(raw: bytes) -> None:
    """Bytes that are no JSON, or damaged JSON, raise nothing but a rejection."""
    assert code_or_promises(raw) in CODES


# -- from within Python -------------------------------------------------------------------------

CALL = {"type": "track", "messageId": "m", "event": "e", "properties": {"a": 1}}


@pytest.mark.parametrize(
    "content", [CALL, MappingProxyType(CALL), json.dumps(CALL), json.dumps(CALL).encode()]
)
def test_a_host_may_hand_over_a_mapping_text_or_bytes(
    content: str | bytes | Mapping[str, Any],
) -> None:
    """`parse_message` takes a message in the form at hand."""
    expected = Track(message_id="m", event="e", properties={"a": 1})
    assert parse_message(content) == expected


@pytest.mark.parametrize(
    "content", [{**CALL, "event": "\ud800"}, json.dumps(CALL).replace('"e"', '"\ud800"')]
)
def test_half_a_character_in_python_text_is_replaced(content: str | dict[str, Any]) -> None:
    """Python text can hold what UTF-8 cannot."""
    assert getattr(parse_message(content), "event", None) == "\ufffd"


def test_a_mapping_that_is_no_json_is_rejected() -> None:
    """What JSON cannot write is rejected by its type, what has no end by its depth."""
    endless: list[Any] = []
    endless.append(endless)
    for value, code in (
        (object(), "invalid_json"),
        (endless, "too_deep"),
        (10**5000, "invalid_json"),
    ):
        with pytest.raises(Reject) as caught:
            parse_message({**CALL, "properties": {"a": value}})
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("raw", "value", "codes"),
    [
        (b'{"a": 1}', {"a": 1}, []),
        (b'["\xff"]', ["\ufffd"], ["converted"]),
        (b'["\\ud800"]', ["\ufffd"], ["converted"]),
        (b'["\xff\\ud800"]', ["\ufffd\ufffd"], ["converted", "converted"]),
        (b"[1e999]", [math.inf], []),
    ],
)
def test_decoding_tells_what_it_replaced(raw: bytes, value: object, codes: list[str]) -> None:
    """JSON as real senders write it is read, with a note for each kind of repair."""
    found, repairs = decode_json(raw)
    assert found == value
    assert [note.code for note in repairs] == codes
    assert all(isinstance(note, Note) for note in repairs)
