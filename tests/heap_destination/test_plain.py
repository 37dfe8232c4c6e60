"""A track or identify that goes out as it is becomes what the whole mapping would make of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import HttpRequest, Identify, Reject, Track
from destination_router.contract.messages import with_mapped
from destination_router.pipeline.normalise import parse_message
from heap_destination.calls import identify_user, kept_away, record_event, record_track, update_user
from heap_destination.dialects import DIALECTS
from heap_destination.identity import identifiers
from heap_destination.plain import is_plain_user, plain_event
from heap_destination.settings import HeapSettings, heap_settings

PLAIN: dict[str, Any] = {
    "type": "track",
    "messageId": "m1",
    "userId": "ada",
    "anonymousId": "a1e3d5c7-0000-4000-8000-000000000001",
    "event": "Signed Up",
    "integrations": {"All": True},
    "timestamp": "2026-11-22T10:00:00.000Z",
    "originalTimestamp": "2026-11-22T09:59:59.000Z",
    "properties": {"plan": "pro", "seats": 12, "tags": ["a", "b"], "at": {"city": "London"}},
}
PLAIN_USER: dict[str, Any] = {
    **{name: value for name, value in PLAIN.items() if name not in ("event", "properties")},
    "type": "identify",
    "traits": {"email": "ada@example.com", "plan": "pro", "at": {"city": "London"}, "ID": 5},
}
TIMELESS = {"timestamp": None, "originalTimestamp": None}
IDS = (
    *("ada", "null", " ", "0", "000", "{{ user }}", "a\0b", "a" * 100, "a" * 101, "a" * 256, None),
    *("a@example.com", "<nil>", "\u00e9mile", "\u3164", "-1", "anonymous", "[object Object]"),
)
ODD: dict[str, tuple[Any, ...]] = {
    "userId": IDS,
    "anonymousId": IDS,
    "event": ("", " ", "Signed Up", "x" * 1024, "x" * 1025, None),
    "timestamp": (
        *("2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00Z", "2026-11-22", "nonsense", None),
        *("1969-12-31T23:59:59.999Z", "2100-01-01T00:00:00.000Z", "2026-W47-7T10:00:00.00Z"),
        *("2026-11-22T24:00:00.000Z", "2026-11-22 10:00:00.000Z", "20261122T100000Z"),
    ),
    "originalTimestamp": (None, "2026-11-22T09:00:00.000Z"),
    "receivedAt": (None, "2026-11-22T11:00:00.000Z"),
    "integrations": (
        *({}, {"All": True}, {"All": True, "Heap": {"identity": "eve"}}, {"All": 1}, None, []),
        {"Heap": {"user_id": "17", "session_id": "5"}},
    ),
    "context": ({}, {"traits": {"plan": "pro"}}, {"traits": {}}),
    "properties": ({}, {"": 1}, {"at": None}, {"seats": 2**60}, {"long": "x" * 1024}),
    "traits": ({}, {"id": "u2"}),
}
ODD_USER: dict[str, tuple[Any, ...]] = {
    **{name: ODD[name] for name in ("userId", "anonymousId", "timestamp", "integrations")},
    "context": (*ODD["context"], {"traits": {"anonymousId": "a"}}),
    "traits": (
        *({}, {"anonymous_id": "a1"}, {"id": 1, "_id": 2, "user_id": 3, "Email": "a@example.com"}),
        *({"at": None}, {"long": "x" * 1024}, None),
    ),
}
GIVEN = [
    {"appId": "11"},
    {"appId": "11", "anonymousEvents": "stitch"},
    {"appId": "11", "unsafeIdentities": ["ada", "\u00c9mile"]},
    *({"appId": "11", "dialect": dialect} for dialect in DIALECTS),
]


def track(mapped: dict[str, Any] | None = None, **fields: Any) -> Track:
    message = parse_message({**PLAIN, **fields})
    assert isinstance(message, Track)
    return with_mapped(message, mapped) if mapped else message


def identify(mapped: dict[str, Any] | None = None, **fields: Any) -> Identify:
    message = parse_message({**PLAIN_USER, **fields})
    assert isinstance(message, Identify)
    return with_mapped(message, mapped) if mapped else message


def whole_track(message: Track, typed: HeapSettings) -> Any:
    return kept_away(message, typed) or record_event(message, typed)


def whole_identify(message: Identify, typed: HeapSettings) -> Any:
    return kept_away(message, typed) or update_user(message, typed)


def made(record: Any, message: Identify | Track, *more: Any) -> list[HttpRequest] | tuple[str, str]:
    try:
        requests: list[HttpRequest] = record(message, *more)
    except Reject as reject:
        return reject.code, reject.detail
    return requests


@pytest.mark.parametrize("one", GIVEN, ids=str)
@settings(max_examples=100)
@given(fields=st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in ODD.items()}))
def test_the_quick_way_comes_to_the_same(one: dict[str, Any], fields: dict[str, Any]) -> None:
    """Whatever is odd about a track, in every dialect; note by note."""
    typed = heap_settings(one)
    expected = made(whole_track, track(**fields), typed)
    assert made(record_track, track(**fields), typed) == expected


@pytest.mark.parametrize("one", GIVEN, ids=str)
@pytest.mark.parametrize("field", ODD)
def test_one_odd_thing_at_a_time(one: dict[str, Any], field: str) -> None:
    """A track that is as usual but for one field, or that has no times beside."""
    typed = heap_settings(one)
    for value, usual in itertools.product(ODD[field], ({}, TIMELESS)):
        fields = {**usual, field: value}
        expected = made(whole_track, track(**fields), typed)
        assert made(record_track, track(**fields), typed) == expected


@pytest.mark.parametrize("mapped", [{"identity": "eve"}, {"name": "Shop"}, {"session_id": "5"}])
def test_what_a_mapping_gives_counts(mapped: dict[str, Any]) -> None:
    """A connection's own mapping comes before what the message says."""
    typed = heap_settings({"appId": "11"})
    expected = made(whole_track, track(mapped), typed)
    assert made(record_track, track(mapped), typed) == expected
    assert expected != made(record_track, track(), typed)


@pytest.mark.parametrize("one", GIVEN, ids=str)
@settings(max_examples=100)
@given(
    fields=st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in ODD_USER.items()})
)
def test_an_identify_by_the_quick_way_comes_to_the_same(
    one: dict[str, Any], fields: dict[str, Any]
) -> None:
    """Whatever is odd about it, in every dialect; note by note."""
    typed = heap_settings(one)
    expected = made(whole_identify, identify(**fields), typed)
    assert made(identify_user, identify(**fields), typed) == expected


@pytest.mark.parametrize("one", GIVEN, ids=str)
@pytest.mark.parametrize("field", ODD_USER)
def test_one_odd_thing_at_an_identify(one: dict[str, Any], field: str) -> None:
    """An identify that is as usual but for one field."""
    typed = heap_settings(one)
    for value in ODD_USER[field]:
        expected = made(whole_identify, identify(**{field: value}), typed)
        assert made(identify_user, identify(**{field: value}), typed) == expected


@pytest.mark.parametrize("mapped", [{"identity": "eve"}, {"context.traits": {"plan": "free"}}])
def test_what_a_mapping_gives_an_identify_counts(mapped: dict[str, Any]) -> None:
    """Its traits in the context are noted, and its identity is sent."""
    typed = heap_settings({"appId": "11"})
    expected = made(whole_identify, identify(mapped), typed)
    assert made(identify_user, identify(mapped), typed) == expected
    assert expected != made(identify_user, identify(), typed)


@pytest.mark.parametrize("left_out", [None, "anonymousId", "integrations", "properties"])
def test_most_tracks_take_it(left_out: str | None) -> None:
    """With a userId, a name and a time as SDKs write them; otherwise it would save nothing."""
    fields = {name: value for name, value in PLAIN.items() if name != left_out}
    message = parse_message(fields)
    assert isinstance(message, Track)
    assert plain_event(message, HeapSettings(app_id="11")) is not None


@pytest.mark.parametrize("left_out", [None, "anonymousId", "integrations", "timestamp"])
def test_most_identifies_take_it(left_out: str | None) -> None:
    """With a userId and traits at the root."""
    fields = {name: value for name, value in PLAIN_USER.items() if name != left_out}
    message = parse_message(fields)
    assert isinstance(message, Identify)
    assert is_plain_user(message, HeapSettings(app_id="11"))


@pytest.mark.parametrize("other", [None, "a track", 5, {"event": "Signed Up"}, object()])
def test_what_is_no_message_is_refused_wherever_it_is_handed_in(other: Any) -> None:
    """Compiled, these ask each other in C, which must not read a field that is not there."""
    heap = heap_settings({"appId": "11"})
    questions: tuple[Any, ...] = (plain_event, is_plain_user, record_track, identify_user)
    for question in (*questions, identifiers):
        with pytest.raises((TypeError, AttributeError)):
            question(other, heap)


@pytest.mark.parametrize("other", [None, "settings", 5, object()])
def test_what_are_no_settings_are_refused_too(other: Any) -> None:
    """As a message is that is none."""
    asked: list[tuple[Any, Any]] = [(record_track, track()), (identify_user, identify())]
    for question, message in asked:
        with pytest.raises((TypeError, AttributeError)):
            question(message, other)
