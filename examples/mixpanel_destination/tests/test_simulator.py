"""The simulated Mixpanel keeps to Mixpanel's documentation: it judges whatever sends to it."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

HOUR = 3600
Open = Callable[..., Any]


def test_a_valid_event_is_stored(mixpanel: Any) -> None:
    """The answer counts what was imported."""
    answer = mixpanel.imported(mixpanel.event(plan="pro"))

    assert answer.json() == {"code": 200, "num_records_imported": 1, "status": "OK"}
    assert [row["event"] for row in mixpanel.held("events")] == ["E"]


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"time": ...}, "time"),
        ({"time": "2026-11-22"}, "time"),
        ({"time": 1.5}, "time"),
        ({"time": 31_535_999}, "time"),
        ({"time": 31_535_999_000 // 1000}, "time"),
        ({"distinct_id": ...}, "distinct_id"),
        ({"distinct_id": 7}, "distinct_id"),
        ({"distinct_id": "undefined"}, "distinct_id"),
        ({"distinct_id": "00000000-0000-0000-0000-000000000000"}, "distinct_id"),
        ({"$insert_id": ...}, "$insert_id"),
        ({"$insert_id": ""}, "$insert_id"),
        ({"$insert_id": "a:b"}, "$insert_id"),
        ({"$insert_id": "x" * 37}, "$insert_id"),
        ({"$insert_id": "null"}, "$insert_id"),
        ({"bucket": 1}, "bucket"),
        ({"a": None}, "a"),
        ({"a": [[[[1]]]]}, "a"),
        ({"a": list(range(255))}, "a"),
        ({"a": dict.fromkeys(map(str, range(255)), 1)}, "a"),
        ({"a": ["x" * 250] * 40}, "a"),
        ({"k" * 256: 1}, "k" * 50),
        ({"$user_id": "babbage"}, "distinct_id"),
        ({"$device_id": "anon-1"}, "distinct_id"),
    ],
)
def test_a_bad_event_is_named_and_its_neighbours_are_stored(
    mixpanel: Any, properties: dict[str, Any], field: str
) -> None:
    """`strict=1`: only what the answer lists failed."""
    good = mixpanel.event(**{"$insert_id": "good"})
    assert mixpanel.failed(good, mixpanel.event(**properties)) == [(1, f"properties.{field}")]
    assert len(mixpanel.held("events")) == 1


def test_too_many_properties_are_refused(mixpanel: Any) -> None:
    """An event has fewer than 255."""
    fits = {f"p{n}": n for n in range(254 - 3)}
    assert mixpanel.failed(mixpanel.event(**fits)) == []
    assert mixpanel.failed(mixpanel.event(**fits, one_more=1)) == [(0, "properties")]


@pytest.mark.parametrize(
    "record",
    [7, {}, {"event": "E"}, {"event": 7, "properties": {}}, {"event": "", "properties": {}}],
)
def test_what_is_no_event_is_refused(mixpanel: Any, record: Any) -> None:
    """A record has exactly `event` and `properties`."""
    ((index, _),) = mixpanel.failed(record)
    assert index == 0


@pytest.mark.parametrize(("ahead", "taken"), [(HOUR, True), (HOUR + 1, False)])
def test_the_future_ends_in_an_hour(mixpanel: Any, *, ahead: int, taken: bool) -> None:
    """A time up to an hour ahead is stored as now."""
    now = int(mixpanel.now)
    assert (mixpanel.failed(mixpanel.event(time=now + ahead)) == []) is taken
    assert [row["properties"]["time"] for row in mixpanel.held("events")] == [now * 1e3] * taken


def test_an_empty_distinct_id_is_legal(mixpanel: Any) -> None:
    """The event is kept, for nobody."""
    assert mixpanel.failed(mixpanel.event(distinct_id="")) == []


def test_repeats_are_kept_once(mixpanel: Any) -> None:
    """Equal in event, time, distinct_id and $insert_id; seconds and milliseconds are one time."""
    again = mixpanel.event(time=int(mixpanel.now), note="again")
    other = mixpanel.event(time=int(mixpanel.now) + 1)
    mixpanel.imported(mixpanel.event(), again, other)

    assert [row["properties"].get("note") for row in mixpanel.held("events")] == ["again", None]
    assert mixpanel.held("stats")["duplicates"] == 1


def test_ignore_drops_an_event_without_a_word(mixpanel: Any) -> None:
    """The answer does not tell."""
    assert mixpanel.failed(mixpanel.event(**{"$ignore": True})) == []
    assert (mixpanel.held("events"), mixpanel.held("stats")["ignored"]) == ([], 1)


def test_a_long_text_is_cut(mixpanel: Any) -> None:
    """To 255 bytes, silently."""
    mixpanel.imported(mixpanel.event(a="é" * 200))
    assert mixpanel.held("events")[0]["properties"]["a"] == "é" * 127


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"auth": ("wrong", "")}, 401),
        ({"auth": ("a-project-token", "password")}, 401),
        ({"auth": None}, 401),
        ({"params": {"strict": "1", "project_id": "123"}}, 401),
        ({"params": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"event": "E"}}, 400),
        ({"content": b"nonsense"}, 400),
        ({"content": b"x", "headers": {"content-encoding": "gzip"}}, 400),
        ({"content": b" " * 2_097_153}, 413),
    ],
)
def test_a_request_that_cannot_be_read_stores_nothing(
    mixpanel: Any, options: dict[str, Any], status: int
) -> None:
    """Credentials, parameters, body and size are looked at first."""
    assert mixpanel.imported(mixpanel.event(), **options).status_code == status
    assert mixpanel.held("events") == []


def test_more_than_2000_events_are_refused(mixpanel: Any) -> None:
    """2000 are not."""
    events = [mixpanel.event(**{"$insert_id": f"m-{n}"}) for n in range(2001)]
    assert mixpanel.imported(*events).status_code == 400
    assert mixpanel.imported(*events[:2000]).status_code == 200


@pytest.mark.parametrize("kind", ["gzip", "lines"])
def test_other_forms_of_a_body_are_read(mixpanel: Any, kind: str) -> None:
    """Compressed, or one JSON object a line."""
    content = json.dumps([mixpanel.event()]).encode()
    options: dict[str, Any] = {"content": gzip.compress(content)}
    options["headers"] = {"content-encoding": "gzip"}
    if kind == "lines":
        options = {"content": json.dumps(mixpanel.event()) + "\n"}
        options["headers"] = {"content-type": "application/x-ndjson"}
    assert mixpanel.imported(**options).status_code == 200


def test_a_service_account_names_its_project(open_mixpanel: Open) -> None:
    """With the project it is taken, without it is not."""
    mixpanel = open_mixpanel(service_account=("router.mp", "s3cret", "123"))
    right = {"auth": ("router.mp", "s3cret")}
    params = {"strict": "1", "project_id": "123"}

    assert mixpanel.imported(mixpanel.event(), **right, params=params).status_code == 200
    assert mixpanel.imported(mixpanel.event(), **right).status_code == 401


def test_the_rate_is_kept_over_any_minute(open_mixpanel: Open) -> None:
    """Beyond so many bytes in 60 seconds the answer is 429, and nothing is stored."""
    mixpanel = open_mixpanel(bytes_per_minute=150)
    assert mixpanel.imported(mixpanel.event()).status_code == 200
    assert mixpanel.imported(mixpanel.event("Second")).status_code == 429
    mixpanel.now += 60
    assert mixpanel.imported(mixpanel.event("Second")).status_code == 200
    assert [row["event"] for row in mixpanel.held("events")] == ["E", "Second"]


PROFILE = {"$token": "a-project-token", "$distinct_id": "ada", "$set": {"plan": "pro"}}


def test_a_profile_is_created_and_updated(mixpanel: Any) -> None:
    """`$set` overwrites property by property."""
    more = {**PROFILE, "$set": {"seats": 2, "plan": "free"}}
    assert mixpanel.set("/engage", PROFILE, more) == {"status": 1, "error": None}
    assert mixpanel.held("users") == [
        {"distinct_id": "ada", "also": [], "properties": {"plan": "free", "seats": 2}}
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"$token": None},
        {"$distinct_id": "null"},
        {"$distinct_id": ""},
        {"$set": {}},
        {"$set": {"$last_seen": "2026-11-22T10:00:00"}},
        {"$set": {"a": None}},
        {"$set": {f"p{n}": n for n in range(2001)}},
        {"$add": {"n": 1}},
        {"$time": 1},
        {"$set": {f"p{n}": "x" * 200_000 for n in range(6)}},
    ],
)
def test_a_bad_profile_is_answered_with_200(mixpanel: Any, change: dict[str, Any]) -> None:
    """`status` 0 says that something is wrong, and not with which; the others are taken."""
    other = {**PROFILE, "$distinct_id": "babbage"}
    answer = mixpanel.set("/engage", {**PROFILE, **change}, other)

    assert answer["status"] == 0
    assert answer["error"]
    assert [row["distinct_id"] for row in mixpanel.held("users")] == ["babbage"]


def test_a_wrong_token_is_answered_with_1(mixpanel: Any) -> None:
    """Nothing tells that the profile is not in the project."""
    assert mixpanel.set("/engage", {**PROFILE, "$token": "wrong"})["status"] == 1
    assert (mixpanel.held("users"), mixpanel.held("stats")["foreign"]) == ([], 1)


def test_without_verbose_the_body_is_1_or_0(mixpanel: Any) -> None:
    """And no word about the reason."""
    assert mixpanel.request("POST", "/engage", json=[PROFILE]).text == "1"
    assert mixpanel.request("POST", "/engage", json=[7]).text == "0"
    assert mixpanel.request("POST", "/engage", json=PROFILE).text == "0"
    zipped = {"content": gzip.compress(b"[]"), "headers": {"content-encoding": "gzip"}}
    assert mixpanel.request("POST", "/engage", **zipped).text == "0"


def test_a_group_needs_a_key_of_the_project(open_mixpanel: Open) -> None:
    """One that the project's settings do not have is refused."""
    mixpanel = open_mixpanel(group_keys=["company_id"])
    group = {"$token": "a-project-token", "$group_key": "company_id", "$group_id": "acme"}

    assert mixpanel.set("/groups", {**group, "$set": {"n": 1}})["status"] == 1
    assert mixpanel.set("/groups", {**group, "$group_key": "team", "$set": {"n": 1}})["status"] == 0
    assert mixpanel.set("/groups", {**group, "$append": {"n": 1}})["status"] == 0
    assert mixpanel.held("accounts") == [
        {"group_key": "company_id", "group_id": "acme", "properties": {"n": 1}}
    ]


def test_simplified_an_event_with_both_ids_joins_them(mixpanel: Any) -> None:
    """What came before is the user's too; a second user does not get the device."""
    before = mixpanel.event("Before", distinct_id="$device:d", **{"$device_id": "d"})
    join = mixpanel.event("Join", **{"$device_id": "d", "$user_id": "ada"})
    late = mixpanel.event("Late", distinct_id="eve", **{"$device_id": "d", "$user_id": "eve"})
    mixpanel.imported(before, join, late)

    told = {row["event"]: row["user"] for row in mixpanel.held("events")}
    assert told == {"Before": "ada", "Join": "ada", "Late": "eve"}


UUID = "0b1c7e2a-7d0e-4b8e-9f39-2a9c5d4be5f1"


def test_original_special_events_join_ids(open_mixpanel: Open) -> None:
    """`$identify` wants a UUID of version 4 and the token; `$create_alias` any id, once."""
    mixpanel = open_mixpanel(id_merge="original")
    token = {"token": "a-project-token"}
    ids = {"$identified_id": "ada", "$anon_id": UUID}
    alias = {"alias": "augusta", **token}
    failed = mixpanel.failed(
        mixpanel.event("Before", distinct_id=UUID),
        mixpanel.event("$identify", **ids, **token),
        mixpanel.event("$identify", **{**ids, "$anon_id": "anon-1"}, **token),
        mixpanel.event("$identify", **ids),
        mixpanel.event("$create_alias", **alias),
        mixpanel.event("$create_alias", **{**alias, "distinct_id": "eve"}),
        mixpanel.event("After", distinct_id="augusta"),
    )

    assert failed == [(2, "properties.$anon_id"), (3, "properties.token")]
    told = {row["event"]: row["user"] for row in mixpanel.held("events")}
    assert (told["Before"], told["After"]) == ("ada", "ada")


def test_a_fault_fails_requests_on_demand(mixpanel: Any) -> None:
    """Before they are acted on, or after: then only the answer is lost."""
    faults = [{"status": 503, "next": 1}, {"status": 500, "after": True, "path": "/import"}]
    mixpanel.request("PUT", "/_simulator/faults", json=faults)

    assert mixpanel.imported(mixpanel.event("A")).status_code == 503
    assert mixpanel.imported(mixpanel.event("B")).status_code == 500
    assert [row["event"] for row in mixpanel.held("events")] == ["B"]
    assert mixpanel.request("PUT", "/_simulator/faults", json=[{"x": 1}]).status_code == 400


def test_a_fault_finds_its_requests_by_their_text(mixpanel: Any) -> None:
    """And may answer with a body of its own."""
    fault = {"status": 200, "body": "0", "match": "babbage"}
    mixpanel.request("PUT", "/_simulator/faults", json=[fault])

    assert mixpanel.request("POST", "/engage", json=[PROFILE]).text == "1"
    other = {**PROFILE, "$distinct_id": "babbage"}
    assert mixpanel.request("POST", "/engage", json=[other]).text == "0"
    assert [row["distinct_id"] for row in mixpanel.held("users")] == ["ada"]
