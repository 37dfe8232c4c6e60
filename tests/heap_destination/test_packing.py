"""Packing: what a window of Heap requests becomes, and what must survive it."""

import random
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router import Cost, HttpRequest, Note
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.packing import pack_requests

BASE = "https://heapanalytics.com"


@pytest.fixture(scope="module")
def heap() -> Connection:
    return Connection("heap", load_plugin("heap"), {"appId": "11"})


def requests_of(connection: Connection, messages: list[dict[str, Any]]) -> list[HttpRequest]:
    decisions = [connection.decide(msgspec.json.encode(message)) for message in messages]
    return [request for decision in decisions for request in decision.requests]


def identify(number: int, user: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "messageId": f"i-{number:05}", "userId": user, "traits": traits}


def track(number: int, user: str | None = None, anonymous: str | None = None) -> dict[str, Any]:
    ids = {"userId": user, "anonymousId": anonymous}
    return {
        "type": "track",
        "messageId": f"t-{number:05}",
        "event": "Ordered",
        **{key: value for key, value in ids.items() if value},
    }


def group(number: int, user: str, account: str, **traits: Any) -> dict[str, Any]:
    return {
        "type": "group",
        "messageId": f"g-{number:05}",
        "userId": user,
        "groupId": account,
        "traits": traits,
    }


def mixed_window(users: list[str]) -> list[dict[str, Any]]:
    """A message of some kind for each user in turn."""
    kinds = (
        lambda n, user: identify(n, user, plan=f"p{n}"),
        track,
        lambda n, user: track(n, None, f"anonymous-{user}"),
        lambda n, user: group(n, user, f"account-{len(user)}", seats=n),
    )
    chance = random.Random(3)
    return [chance.choice(kinds)(n, user) for n, user in enumerate(users)]


def zipf_users(count: int) -> list[str]:
    weights = list(accumulate(1 / rank for rank in range(1, 10_001)))
    return [
        f"user-{n}" for n in random.Random(5).choices(range(10_000), cum_weights=weights, k=count)
    ]


def paths(requests: list[HttpRequest]) -> list[str]:
    return [request.url.removeprefix(BASE) for request in requests]


@pytest.mark.parametrize(
    "users",
    [
        pytest.param([f"user-{n % 800}" for n in range(1000)], id="800 evenly active users"),
        pytest.param(zipf_users(1000), id="Zipf-distributed users"),
        pytest.param(["the one user"] * 1000, id="one user"),
    ],
)
def test_a_mixed_window_takes_four_requests(heap: Connection, users: list[str]) -> None:
    """A mixed window of 1000 messages becomes at most four requests, whatever its users."""
    packed = pack_requests(requests_of(heap, mixed_window(users)))

    assert paths(packed) == [
        "/api/add_user_properties",
        "/api/add_account_properties",
        "/api/track",
        "/api/integrations/track",
    ]


def test_updates_of_a_user_fold_into_one(heap: Connection) -> None:
    """The later value wins, property by property, and every message id is kept."""
    packed = pack_requests(
        requests_of(
            heap,
            [
                identify(1, "ada", plan="free", city="London"),
                identify(2, "bob", plan="free"),
                identify(3, "ada", plan="pro"),
            ],
        )
    )

    assert [request.json for request in packed] == [
        {
            "app_id": "11",
            "users": [
                {"identity": "ada", "properties": {"plan": "pro", "city": "London"}},
                {"identity": "bob", "properties": {"plan": "free"}},
            ],
        }
    ]
    assert packed[0].message_ids == ("i-00001", "i-00003", "i-00002")
    assert packed[0].items == (("i-00001", "i-00003"), ("i-00002",))


def test_updates_of_one_user_alone_stay_a_single_request(heap: Connection) -> None:
    """One item, folded from several messages, keeps the single form."""
    packed = pack_requests(
        requests_of(heap, [identify(1, "ada", plan="free"), identify(2, "ada", plan="pro")])
    )

    assert [request.json for request in packed] == [
        {"app_id": "11", "identity": "ada", "properties": {"plan": "pro"}}
    ]
    assert packed[0].message_ids == ("i-00001", "i-00002")
    assert packed[0].state_key == "user:ada"


def test_what_stands_alone_in_its_kind_is_unchanged(heap: Connection) -> None:
    """A kind with exactly one item keeps its request as it is."""
    singles = requests_of(
        heap,
        [identify(1, "ada"), group(2, "ada", "acme"), track(3, "ada"), track(4, None, "visitor")],
    )

    assert singles == pack_requests(singles)


def test_accounts_fold_too(heap: Connection) -> None:
    """Updates of an account fold like those of a user."""
    packed = pack_requests(
        requests_of(
            heap,
            [
                group(1, "ada", "acme", seats=1),
                group(2, "bob", "initech", seats=5),
                group(3, "cyd", "acme", seats=2),
            ],
        )
    )

    assert packed[0].json["accounts"] == [
        {"account_id": "acme", "properties": {"seats": 2}},
        {"account_id": "initech", "properties": {"seats": 5}},
    ]


def test_events_keep_their_order_and_fields(heap: Connection) -> None:
    """A bulk holds the events in order, each as it would have gone alone, without the app."""
    singles = requests_of(heap, [track(n, f"user-{n}") for n in range(3)])
    (bulk,) = pack_requests(singles)

    assert [
        {key: value for key, value in single.json.items() if key != "app_id"} for single in singles
    ] == bulk.json["events"]
    assert {"app_id", "events"} == bulk.json.keys()


def test_anonymous_events_share_one_partner_body(heap: Connection) -> None:
    """Anonymous events keep the partner API's envelope."""
    singles = requests_of(heap, [track(n, None, f"visitor-{n}") for n in range(3)])
    (bulk,) = pack_requests(singles)

    assert bulk.json["library"] == "server"
    assert [single.json["events"][0] for single in singles] == bulk.json["events"]


def test_more_than_a_thousand_of_a_kind_become_several_bulks(heap: Connection) -> None:
    """No bulk holds more than 1000 items; the bulks are in order."""
    singles = requests_of(heap, [track(n, f"user-{n}") for n in range(2001)])
    packed = pack_requests(singles)

    assert [len(request.json.get("events", [0])) for request in packed] == [1000, 1000, 1]
    assert [s.message_ids[0] for s in singles] == [i for r in packed for i in r.message_ids]


def test_merges_follow_the_users() -> None:
    """A merge goes after the user it merges into, and before every event."""
    stitching = Connection(
        "heap", load_plugin("heap"), {"appId": "11", "anonymousEvents": "stitch"}
    )
    known = [{**identify(n, f"user-{n}"), "anonymousId": f"visitor-{n}"} for n in (3, 4)]
    messages = [track(1, None, "visitor-3"), track(2, None, "visitor-4"), *known]

    assert paths(pack_requests(requests_of(stitching, messages))) == [
        "/api/add_user_properties",
        "/api/v1/identify",
        "/api/v1/identify",
        "/api/track",
    ]


def test_regions_and_apps_are_never_mixed() -> None:
    """Requests for different hosts or apps share no bulk."""
    apps = [
        Connection("heap", load_plugin("heap"), settings)
        for settings in ({"appId": "1"}, {"appId": "2"}, {"appId": "1", "region": "EU"})
    ]
    singles = [r for n in range(4) for app in apps for r in requests_of(app, [track(n, f"u{n}")])]

    assert [len(request.json["events"]) for request in pack_requests(singles)] == [4, 4, 4]


def test_a_bulk_states_what_it_takes_from_the_quotas(heap: Connection) -> None:
    """A bulk of events counts for the app, and for each identity; one of users for nobody."""
    messages = [track(1, "ada"), track(2, "bob"), track(3, "ada"), identify(4, "ada")]
    users, events = pack_requests(requests_of(heap, [*messages, identify(5, "bob")]))

    assert users.costs == ()
    assert {
        Cost("events_per_app", 3),
        Cost("events_per_identity", 2, "identity:ada"),
        Cost("events_per_identity", 1, "identity:bob"),
    } == set(events.costs or ())


def test_notes_are_kept(heap: Connection) -> None:
    """What the mapping noted is still there after packing."""
    singles = requests_of(heap, [identify(n, f"user-{n % 2}", ok=True) for n in range(4)])
    notes = [note for request in singles for note in request.notes]
    (bulk,) = pack_requests(singles)

    assert notes
    assert sorted(notes, key=repr) == sorted(bulk.notes, key=repr)
    assert Note("converted", "traits.ok", notes[0].detail) in bulk.notes


messages = st.lists(
    st.tuples(st.sampled_from("itag"), st.sampled_from(["ada", "bob", "cyd"])), max_size=12
)


@given(drawn=messages)
def test_packing_keeps_every_message_and_every_order_that_matters(
    heap: Connection, drawn: list[tuple[str, str]]
) -> None:
    """Each id stays once per kind, events keep their order, no event overtakes an identify."""
    made = []
    for number, (kind, user) in enumerate(drawn):
        match kind:
            case "i":
                made.append(identify(number, user, n=number))
            case "t":
                made.append(track(number, user))
            case "a":
                made.append(track(number, None, user))
            case "g":
                made.append(group(number, user, user, n=number))
    singles = requests_of(heap, made)
    packed = pack_requests(singles)

    for path in {*paths(singles)}:
        before = [i for r in singles if r.url.endswith(path) for i in r.message_ids]
        after = [i for r in packed if r.url.endswith(path) for i in r.message_ids]
        assert sorted(before) == sorted(after)
        if "track" in path:
            assert before == after
    order = paths(packed)
    assert order == sorted(
        order, key=lambda path: ("track" in path, "integrations" in path, "acc" in path)
    )
