"""What the gateway adds to an event, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router.contract.records import Reject
from destination_router.gateway import enrichment
from destination_router.gateway.enrichment import Arrival, enrich, enrich_usual
from destination_router.pipeline.normalise import decode_json, normalise
from destination_router.pipeline.wire import members

RECEIVED = "2026-03-04T05:06:07.890Z"
OWNED = {"type", "messageId", "receivedAt", "request_ip", "timestamp"}


def numbered_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"new-{next(numbers)}"


def arrival(kind: str | None = None, request_ip: str = "192.0.2.1") -> Arrival:
    return Arrival(
        received_at=datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC),
        new_id=numbered_ids(),
        request_ip=request_ip,
        kind=kind,
    )


def enriched(kind: str | None = None, **fields: Any) -> dict[str, Any]:
    """Enrich an event of a known user that holds these fields."""
    raw = json.dumps({"userId": "u", **fields}).encode()
    return strict_object(enrich(raw, arrival(kind)))


def strict_object(raw: bytes) -> dict[str, Any]:
    """Decode an object that names no field twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(pairs) == len(dict(pairs)), "a field is there twice"
        return dict(pairs)

    decoded: dict[str, Any] = json.loads(raw, object_pairs_hook=unique)
    return decoded


def test_a_bare_event_is_completed() -> None:
    """Id, time of receipt, address and time are added; nothing else is."""
    expected = {
        "userId": "u",
        "messageId": "new-1",
        "receivedAt": RECEIVED,
        "request_ip": "192.0.2.1",
        "timestamp": RECEIVED,
    }

    assert expected == enriched()


def test_a_complete_event_stays_byte_for_byte() -> None:
    """What lacks nothing is not touched, blanks and all."""
    raw = (
        b' {"userId" : 7, "messageId":"m", "receivedAt":"r", "request_ip":"i", '
        b'"timestamp":"2026-01-01", "n":1.10}\n'
    )

    assert raw == enrich(raw, arrival())


def test_fields_are_added_in_front_of_the_senders_own_bytes() -> None:
    """An event is not written anew to add a field."""
    raw = b' {"userId":"u", "n":1.10, "big":12345678901234567890123 }'

    assert enrich(raw, arrival()).endswith(
        b',"userId":"u", "n":1.10, "big":12345678901234567890123 }'
    )


@pytest.mark.parametrize("value", ["", "  \t", None, 42, True, ["m"], {}])
def test_a_message_id_that_is_blank_or_no_text_is_made_anew(value: Any) -> None:
    """Numbers too get a new id, as in rudder-server."""
    assert enriched(messageId=value)["messageId"] == "new-1"


@pytest.mark.parametrize(("value", "kept"), [("m-1", "m-1"), ("  m-1\n", "m-1"), ("é ü", "é ü")])
def test_a_message_id_is_trimmed(value: str, kept: str) -> None:
    """A text keeps its inner blanks and loses the outer ones."""
    assert kept == enriched(messageId=value)["messageId"]


def test_each_event_gets_an_id_of_its_own() -> None:
    """The same arrival never gives two events one id."""
    same = arrival()

    ids = {json.loads(enrich(b'{"userId":"u"}', same))["messageId"] for _ in range(3)}

    assert {"new-1", "new-2", "new-3"} == ids


@pytest.mark.parametrize("name", ["receivedAt", "request_ip"])
def test_what_the_sender_says_about_the_arrival_counts(name: str) -> None:
    """A replayed event keeps when and from where it first came."""
    assert enriched(**{name: "2020-01-01T00:00:00Z"})[name] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("name", ["receivedAt", "request_ip"])
def test_null_about_the_arrival_counts_as_absent(name: str) -> None:
    """A null says nothing, so the gateway does."""
    assert enriched()[name] == enriched(**{name: None})[name]


def test_an_address_that_is_not_known_is_left_out() -> None:
    """No field is better than an empty one."""
    assert "request_ip" not in strict_object(enrich(b'{"userId":"u"}', arrival(request_ip="")))


@pytest.mark.parametrize("given_type", [{}, {"type": "identify"}, {"type": None}, {"type": 1}])
def test_the_route_says_the_type(given_type: dict[str, Any]) -> None:
    """A single route's name wins over what the event says, as in rudder-server."""
    assert enriched("track", **given_type)["type"] == "track"


@pytest.mark.parametrize("given_type", [{}, {"type": "nonsense"}, {"type": 1}])
def test_a_batch_leaves_the_type_alone(given_type: dict[str, Any]) -> None:
    """What an event of a batch calls itself is for the pipeline to judge."""
    found = enriched(**given_type)

    assert given_type == {name: found[name] for name in given_type}
    assert ("type" in given_type) == ("type" in found)


@pytest.mark.parametrize(
    "ids",
    [
        {"userId": "u"},
        {"anonymousId": "a"},
        {"userId": "", "anonymousId": "a"},
        {"userId": None, "anonymousId": " a "},
        {"userId": 0},
        {"userId": False},
        {"userId": {}},
        {"type": "record"},
        {"type": "extract", "userId": None},
    ],
)
def test_one_identifier_is_enough(ids: dict[str, Any]) -> None:
    """What is neither null nor blank as text identifies; two reverse-ETL types need nothing."""
    found = strict_object(enrich(json.dumps(ids).encode(), arrival()))

    assert ids == {name: found[name] for name in ids}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"userId": None},
        {"userId": "", "anonymousId": " \n"},
        {"previousId": "p"},
        {"type": "Record"},
    ],
)
def test_without_an_identifier_an_event_is_refused(event: dict[str, Any]) -> None:
    """Blank, null and absent identifiers are none."""
    with pytest.raises(Reject) as caught:
        enrich(json.dumps(event).encode(), arrival())

    assert caught.value.code == "missing_identity"


def test_a_single_route_never_goes_without_an_identifier() -> None:
    """The exempted types cannot slip in where the route says the type."""
    with pytest.raises(Reject):
        enrich(b'{"type":"record"}', arrival("track"))


@pytest.mark.parametrize("event", [b"[]", b"1", b"null", b'"text"', b"[NaN]"])
def test_what_is_no_object_is_refused(event: bytes) -> None:
    """An event is an object."""
    with pytest.raises(Reject) as caught:
        enrich(event, arrival())

    assert caught.value.code == "not_an_object"


@pytest.mark.parametrize(
    "value", ["2020-02-03T04:05:06.789+02:00", "2020-02-03", 1_580_702_706, 1_580_702_706_789.5]
)
def test_a_time_that_can_be_read_is_kept_as_it_is(value: Any) -> None:
    """A `timestamp` is never corrected, whatever the sender's clock says."""
    clock = {"originalTimestamp": "2020-01-01T00:00:00Z", "sentAt": "2020-01-02T00:00:00Z"}

    assert value == enriched(timestamp=value, **clock)["timestamp"]


@pytest.mark.parametrize(
    "no_time", [{}, {"timestamp": None}, {"timestamp": "soon"}, {"timestamp": True}]
)
def test_the_clock_skew_is_taken_out(no_time: dict[str, Any]) -> None:
    """An event that was sent 1.5 s after it happened happened 1.5 s before it was received."""
    found = enriched(
        originalTimestamp="2031-01-01T12:00:00.000+05:00",
        sentAt="2031-01-01T07:00:01.500Z",
        **no_time,
    )

    assert found["timestamp"] == "2026-03-04T05:06:06.390Z"


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ({"originalTimestamp": "2026-03-04T05:06:00Z"}, "2026-03-04T05:06:00.000Z"),
        ({"originalTimestamp": "2026-03-04T05:06:00Z", "sentAt": "?"}, "2026-03-04T05:06:00.000Z"),
        ({"sentAt": "2026-03-04T05:06:07.890Z"}, RECEIVED),
        ({"originalTimestamp": {}, "sentAt": []}, RECEIVED),
        ({"originalTimestamp": "0001-01-01", "sentAt": "9999-12-31"}, RECEIVED),
        (
            {
                "receivedAt": "2020-01-01T00:00:10Z",
                "sentAt": "2020-01-01T00:00:05Z",
                "originalTimestamp": "2020-01-01T00:00:00Z",
            },
            "2020-01-01T00:00:05.000Z",
        ),
    ],
)
def test_a_clock_that_is_missing_or_unreadable_counts_as_the_time_of_receipt(
    clock: dict[str, Any], expected: str
) -> None:
    """The rule is receivedAt - (sentAt - originalTimestamp); receivedAt stands for what lacks."""
    assert expected == enriched(**clock)["timestamp"]


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "1e400", "NaN", "-Infinity"])
@pytest.mark.parametrize("name", ["timestamp", "sentAt", "originalTimestamp", "receivedAt"])
def test_a_number_beyond_all_calendars_is_no_time(name: str, number: str) -> None:
    """No number makes the gateway stumble."""
    raw = f'{{"userId":"u","{name}":{number}}}'.encode()

    assert members(enrich(raw, arrival()))["timestamp"] == f'"{RECEIVED}"'.encode()


@pytest.mark.parametrize(
    "odd",
    [
        b'"a":NaN',
        b'"a":"\\ud83d"',
        b'"\\ud83d":1',
        b'"a":"\xff"',
        b'"a":' + b"[" * 9999 + b"]" * 9999,
    ],
)
@pytest.mark.parametrize("message_id", [b'"messageId":"m",', b'"messageId":" ",', b""])
def test_an_event_that_is_not_standard_json_is_completed_all_the_same(
    odd: bytes, message_id: bytes
) -> None:
    """What is odd about it stays as it was written, for the pipeline to mend and to note."""
    found = members(enrich(b'{"userId":"u",' + message_id + odd + b"}", arrival("track")))

    assert found["type"] == b'"track"'
    assert found["messageId"] in {b'"m"', b'"new-1"'}
    assert members(b"{" + odd + b"}").items() <= found.items()


def test_the_name_of_a_field_may_be_escaped() -> None:
    """JSON has many spellings of a name; none of them makes a field appear twice."""
    found = strict_object(enrich(b'{"userI\\u0064":"u","messag\\u0065Id":" m "}', arrival()))

    assert found["messageId"] == "m"


any_text = st.text(st.characters(exclude_categories=()), max_size=8)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
known_names = st.sampled_from(
    sorted(
        {*OWNED, "userId", "anonymousId", "sentAt", "originalTimestamp", "context", "properties"}
    )
)
times = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
events = st.dictionaries(known_names | any_text, json_values | times | st.floats(), max_size=10)


@given(events, st.sampled_from([None, "track", "identify"]), st.booleans())
def test_enrichment_keeps_every_field_that_it_does_not_own(
    event: dict[str, Any],
    kind: str | None,
    spaced: bool,  # noqa: FBT001
) -> None:
    """Other fields come out as they were written, none is there twice, and the whole decodes."""
    raw = json.dumps({"anonymousId": "a", **event}, indent=1 if spaced else None).encode()
    try:
        result = enrich(raw, arrival(kind))
    except Reject as reject:
        assert reject.code == "missing_identity"  # noqa: PT017 -- any other refusal is a bug
        return

    before, after = members(raw), members(result)
    assert {n: v for n, v in before.items() if n not in OWNED} == {
        n: v for n, v in after.items() if n not in OWNED
    }
    assert after.keys() - before.keys() <= OWNED
    assert {"messageId", "receivedAt", "request_ip", "timestamp"} <= after.keys()
    decode_json(result)
    strict_object(result)


@given(
    st.dictionaries(
        st.sampled_from(["messageId", "timestamp", "sentAt", "receivedAt"]), json_values
    )
)
def test_what_is_enriched_is_a_message(fields: dict[str, Any]) -> None:
    """Whatever its id and times were, the pipeline takes the event and finds an id and a time."""
    raw = json.dumps({"userId": "u", **fields}).encode()

    message = normalise(enrich(raw, arrival("track"))).message

    assert message.message_id
    assert message.timestamp is not None


def derived(raw: bytes, key: bytes = b"write-key", place: int = 0) -> str:
    """The id that an event without one gets in a request of a write key."""
    own = msgspec.structs.replace(arrival(), write_key=key)
    found: str = json.loads(enrich(raw, own, place))["messageId"]
    return found


@pytest.mark.parametrize("name", ["timestamp", "originalTimestamp", "sentAt"])
def test_an_event_with_a_time_of_its_own_gets_the_same_id_again(name: str) -> None:
    """A request that is sent again, after a 503 that was stored all the same, doubles nothing."""
    raw = json.dumps({"userId": "u", name: "2026-03-04T05:06:07.891Z"}).encode()
    assert derived(raw) == derived(raw)
    others = [
        derived(raw, key=b"another"),
        derived(raw, place=1),
        derived(raw.replace(b'"u"', b'"v"')),
    ]
    assert len({derived(raw), *others}) == 4


@pytest.mark.parametrize("more", [{}, {"timestamp": "soon"}, {"sentAt": None}])
def test_an_event_without_a_time_of_its_own_gets_a_new_id(more: dict[str, Any]) -> None:
    """Two such events may be alike to the byte, and both true."""
    assert derived(json.dumps({"userId": "u", **more}).encode()) == "new-1"


_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["track", "page", None]),
        "messageId": st.sampled_from(["m1", "m1", " m1", "", 7, None]),
        "userId": st.sampled_from(["u", " ", "", None, 7, False]),
        "anonymousId": st.sampled_from(["a", "a", " ", None]),
        "originalTimestamp": st.sampled_from(
            ["no", "noZ", "", 5, ["Z"], {}, "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z"]
        )
        | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
        | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
        "sentAt": st.sampled_from(
            ["2026-03-04T05:06:01.5Z", "2027-03-04", "0002-01-01", "no", 7, None, ["no"]]
        ),
        "timestamp": st.sampled_from([None, "2026-03-04T05:06:00Z"]),
        "receivedAt": st.sampled_from([None, "2026-03-04T05:06:00Z"]),
        "request_ip": st.sampled_from([None, "192.0.2.9"]),
    },
)
_USUAL_EVENTS = _EVENTS.map(
    lambda fields: {
        name: value
        for name, value in {**fields, "messageId": "m1", "userId": "u"}.items()
        if name not in {"type", "timestamp", "receivedAt", "request_ip"}
    }
)


@given(
    st.lists(_EVENTS, min_size=1, max_size=2) | st.lists(_USUAL_EVENTS, min_size=1, max_size=8),
    st.sampled_from([None, "track"]),
    st.sampled_from(["", "192.0.2.1"]),
    st.sampled_from([UTC, timezone(timedelta(hours=5))]),
    st.sampled_from([0, 890_000, 890_123]),
)
def test_usual_events_are_completed_as_any(
    events: list[dict[str, Any]], kind: str | None, request_ip: str, zone: tzinfo, micros: int
) -> None:
    """The quick way, of one event or of several together, gives the same bytes as the slow one."""
    raw_events = [json.dumps(fields).encode() for fields in events]

    def came() -> Arrival:
        received_at = datetime(2026, 3, 4, 5, 6, 7, micros, tzinfo=zone)
        return msgspec.structs.replace(arrival(kind, request_ip), received_at=received_at, late={})

    def done() -> list[bytes | str]:
        return [_enriched(raw, came()) for raw in raw_events]

    quickly = done()
    together = enrich_usual(raw_events, came())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enrichment, "enrich_usual", lambda *_: None)
        assert done() == quickly
    assert together in (None, quickly)


def _enriched(raw: bytes, came: Arrival) -> bytes | str:
    try:
        return enrich(raw, came)
    except Reject as reject:
        return reject.code


def test_usual_events_are_completed_together() -> None:
    """All of them, or none where one is not as SDKs write them."""
    usual = b'{"messageId":"m1","userId":"u"}'
    assert enrich_usual([usual] * 2, arrival()) == [enrich(usual, arrival())] * 2
    for unusual in (b'{"messageId":" m1","userId":"u"}', b'{"userId":"u"', b'{"userId":NaN}'):
        assert enrich_usual([usual, unusual], arrival()) is None
