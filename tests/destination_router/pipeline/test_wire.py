"""How a request's body is cut into events, and an event into its members."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router.contract.records import Reject
from destination_router.pipeline.wire import members, split_batch

DEEP = b"[" * 50_000 + b"]" * 50_000

any_text = st.text(st.characters(exclude_categories=()), max_size=8)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"batch":[{"a":1},{"b":[2,{}]}]}', [b'{"a":1}', b'{"b":[2,{}]}']),
        (b' { "sentAt" : "x", "batch" : [ 1 , 2 ] } ', [b"1", b"2"]),
        (b'{"batch":{"a":1}}', [b'{"a":1}']),
        (b'{"batch":"text"}', [b'"text"']),
        (b'{"batch":[null]}', [b"null"]),
        (b'{"batch":[1],"batch":[2]}', [b"2"]),
    ],
)
def test_a_batch_is_cut_into_its_events_and_the_rest_is_discarded(
    body: bytes, events: list[bytes]
) -> None:
    """Events come out as written; a batch that is no array is one event, as in rudder-server."""
    assert events == split_batch(body)


@pytest.mark.parametrize(
    "odd",
    [
        b'{"a":NaN}',
        b'{"a":[Infinity,-Infinity]}',
        b'{"a":"\\ud83d"}',
        b'{"a":"\xff"}',
        b'{"\\ud83d":1}',
        b'{"a":"\\"],[{ \\\\","b":NaN}',
        b'{"a":' + DEEP + b"}",
        b'{"a":NaN,"b":' + b"9" * 5000 + b"}",
    ],
)
def test_an_event_that_is_not_standard_json_leaves_its_neighbours_as_they_were_written(
    odd: bytes,
) -> None:
    """`NaN`, half a character, broken UTF-8, depth and digits cost the events beside nothing."""
    first, last = b'{"n": 1.10, "big":123456789012345678901.5}', b'{"t":"a,]}\\"b"}'

    body = b'{"sentAt":"x", "batch" : [' + first + b" ,\n" + odd + b"," + last + b" ] }"

    assert [first, odd, last] == split_batch(body)


@pytest.mark.parametrize("body", [b"{}", b'{"batch":[]}', b'{"batch":null}', b"[1]", b"1", b'"a"'])
def test_a_body_without_events_is_an_empty_batch(body: bytes) -> None:
    """Where rudder-server finds no event, neither do we."""
    with pytest.raises(Reject) as caught:
        split_batch(body)

    assert caught.value.code == "empty_batch"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"batch",
        b'{"batch":[{"a":1}]',
        b'{"batch":[{"a":1}]}}',
        b'{"batch":[{"a":1}]} x',
        b'{"batch":[{"a":1},]}',
        b'{"batch":[,{"a":NaN}]}',
        b'{"batch":[{"a":1} {"a":NaN}]}',
        b'{"batch":[{"a":NaN}],"sentAt":tomorrow}',
        b'{"batch":[{"a":NaN}],sentAt:1}',
        b'{"batch":[{"a":NaN}],"a\\x":1}',
        b'{"batch":[{"a":NaN}],"sentAt":"never closed}',
        b'{"batch":[{"a":NaN}],"sentAt"}',
        b'{"batch":[{"a":NaN}],}',
        b'{"batch":[{"a":NaN}]]',
        b'["batch":[{"a":NaN}]}',
        b"\x1f\x8b\x08\x00",
    ],
)
def test_what_is_not_json_at_all_is_refused(body: bytes) -> None:
    """Reading leniently does not mean reading anything."""
    with pytest.raises(Reject) as caught:
        split_batch(body)

    assert caught.value.code == "invalid_json"


def test_a_text_that_is_never_closed_is_looked_through_once() -> None:
    """Two megabytes of escaped quotes are refused at once, not after a scan from each of them."""
    with pytest.raises(Reject):
        split_batch(b'{"batch":[NaN,"' + b'\\"' * 1_000_000)


def test_members_are_as_they_were_written_and_the_last_of_a_name_counts() -> None:
    """Numbers keep their digits, whatever stands beside them."""
    event = b'{"n": 1.10, "m": NaN, "m": [1, {"a":"}"}], "\\u006e2": 1e400 }'

    assert members(event) == {"n": b"1.10", "m": b'[1, {"a":"}"}]', "n2": b"1e400"}


@pytest.mark.parametrize("event", [b"[]", b"1", b'"a"', b"null", b"NaN", b"[NaN]"])
def test_what_is_no_object_has_no_members(event: bytes) -> None:
    """A JSON value of another type is refused as such."""
    with pytest.raises(Reject) as caught:
        members(event)

    assert caught.value.code == "not_an_object"


@given(st.lists(st.dictionaries(any_text, json_values, max_size=4), min_size=1), st.booleans())
def test_cutting_loses_nothing(events: list[dict[str, Any]], spaced: bool) -> None:  # noqa: FBT001
    """Whatever Python's json writes comes out again, event by event and member by member."""
    indent = 1 if spaced else None
    body = json.dumps({"batch": events}, indent=indent).encode()

    cut = split_batch(body)

    assert repr(events) == repr([json.loads(event) for event in cut])
    taken_apart = [{k: json.loads(v) for k, v in members(event).items()} for event in cut]
    assert repr(events) == repr(taken_apart)


@given(st.text('{}[],:"\\ Na1\n', max_size=40))
def test_only_json_is_cut(text: str) -> None:
    """What `members` accepts, Python's json accepts too."""
    try:
        found = members(text.encode())
    except Reject:
        return
    assert found.keys() == json.loads(text).keys()


@pytest.mark.parametrize("event", [b"{}", b"1", b'{"a":NaN}', b'["a,b"]'])
def test_too_many_events_are_refused_before_they_are_made(event: bytes) -> None:
    """A million of them would take a hundred megabytes, and each its time."""
    body = b'{"batch":[' + b",".join([event] * 400_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(Reject) as refused:
            split_batch(body, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == "too_many_events"
    assert peak < 100_000


def test_what_has_many_commas_is_not_many_events() -> None:
    """Only those between events count, wherever else they stand."""
    event = json.dumps({"a": [1] * 500, "b": "," * 500, "c": {str(n): n for n in range(500)}})
    body = f'{{"context": {{"x": [{event}]}}, "batch": [{event}, {event}], "sentAt": 1}}'.encode()
    assert len(split_batch(body, 2)) == 2
