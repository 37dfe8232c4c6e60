"""Bulk requests out of single ones: what the `pack` of a destination is made of."""

import json
from collections.abc import Callable
from itertools import chain
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router import BasicAuth, Cost, HttpRequest, Json, Note, body_bytes, bulks, folded

URL = "https://vendor.example/import"


def single(name: str, **fields: object) -> HttpRequest:
    return HttpRequest(
        url=URL,
        params={"strict": "1"},
        headers={"X-Api": "2"},
        auth=BasicAuth("token"),
        json=[{"event": name}],
        message_ids=(name,),
        user_key=name,
        **fields,  # type: ignore[arg-type]
    )


def packed(
    requests: list[HttpRequest], most: int = 100, most_bytes: int | None = None
) -> list[HttpRequest]:
    def item(request: HttpRequest) -> Json:
        return request.json[0]

    return bulks(requests, item=item, body=list, most=most, most_bytes=most_bytes)


def test_a_bulk_carries_what_its_requests_carried() -> None:
    """URL, query, headers and authentication stay; messages, items and notes are all there."""
    notes = [Note("dropped", "a", "x"), Note("renamed", "b", "y")]
    (bulk,) = packed([single("a", notes=(notes[0],)), single("b", notes=(notes[1],))])

    assert bulk == HttpRequest(
        url=URL,
        params={"strict": "1"},
        headers={"X-Api": "2"},
        auth=BasicAuth("token"),
        json=[{"event": "a"}, {"event": "b"}],
        message_ids=("a", "b"),
        items=(("a",), ("b",)),
        notes=tuple(notes),
    )


def test_what_stands_alone_stays_as_it_is() -> None:
    """One request, or the one left over, keeps its single form; none make none."""
    requests = [single("a"), single("b"), single("c")]

    assert packed(requests[:1]) == requests[:1]
    assert packed(requests, most=2)[1] is requests[2]
    assert packed([]) == []


def test_no_bulk_is_larger_than_the_vendor_takes() -> None:
    """Bodies fill the bytes that they may, and never exceed them."""
    requests = [single("é" * (n % 7)) for n in range(100)]
    for most_bytes in (60, 100, 1000):
        found = packed(requests, most_bytes=most_bytes)
        sizes = [body_bytes(bulk.json) for bulk in found]

        assert [event for bulk in found for event in bulk.json] == [r.json[0] for r in requests]
        assert max(sizes) <= most_bytes
        for size, following in zip(sizes, found[1:], strict=False):
            assert size + body_bytes(following.json[0]) + 1 >= most_bytes


def test_what_is_too_large_by_itself_goes_alone() -> None:
    """The vendor may refuse it; its neighbours are not in it."""
    found = packed([single("a"), single("x" * 500), single("b")], most_bytes=100)
    assert [bulk.message_ids for bulk in found] == [("a",), ("x" * 500,), ("b",)]


def form(number: int) -> HttpRequest:
    data = json.dumps(['é, &"' * (number % 7)])
    return HttpRequest(url=URL, form={"key": "k", "data": data}, message_ids=(str(number),))


def packed_forms(requests: list[HttpRequest], most_bytes: int) -> list[HttpRequest]:
    return bulks(
        requests,
        item=lambda request: json.loads((request.form or {})["data"])[0],
        body=lambda items: {"key": "k", "data": msgspec.json.encode(items).decode()},
        most=100,
        most_bytes=most_bytes,
    )


def test_forms_are_bulks_too() -> None:
    """Where the single requests have forms, so has the bulk; a form's bytes are URL-encoded."""
    requests = [form(number) for number in range(100)]
    (whole,) = packed_forms(requests, 100_000)
    assert (whole.json, json.loads((whole.form or {})["data"])[1]) == (None, 'é, &"')

    found = packed_forms(requests, 500)
    sizes = [len(urlencode(dict(request.form or {}))) for request in found]
    assert [int(i) for request in found for i in request.message_ids] == list(range(100))
    assert 300 < max(sizes) <= 500


def test_a_vendor_may_limit_more_than_items_and_bytes() -> None:
    """A bulk keeps within a bound of the vendor's own, whatever it measures."""
    requests = [single(name) for name in ("aa", "a", "aaa", "a", "a", "a")]
    found = bulks(
        requests,
        item=lambda request: request.json[0],
        body=list,
        most=100,
        bounds=[(lambda item: len(item["event"]), 3)],
    )
    assert [[e["event"] for e in request.json] for request in found] == [
        ["aa", "a"],
        ["aaa"],
        ["a", "a", "a"],
    ]


def test_costs_of_a_bulk_are_what_its_requests_add() -> None:
    """`bulk_costs`, else `costs`, summed for each quota and key; None where nobody says."""
    own = single("a", costs=(Cost("app"),), bulk_costs=(Cost("events", 1, "u"),))
    same = single("b", costs=(Cost("events", 2, "u"), Cost("app")))

    assert packed([own, same])[0].costs == (Cost("events", 3, "u"), Cost("app", 1))
    assert packed([single("a"), single("b")])[0].costs is None
    assert packed([single("a", costs=()), single("b", costs=())])[0].costs == ()


SHARED = [Cost("app"), Cost("app", 2), Cost("events", 1, "u"), Cost("app", 1)]


@given(st.lists(st.lists(st.sampled_from(SHARED), max_size=3), min_size=2, max_size=6))
def test_costs_are_added_up_whichever_requests_share_them(costs: list[list[Cost]]) -> None:
    """In the order in which a budget first appears."""
    (bulk,) = packed([single(str(n), costs=tuple(own)) for n, own in enumerate(costs)])
    amounts: dict[tuple[str, str], int] = {}
    for cost in chain.from_iterable(costs):
        budget = cost.quota, cost.key
        amounts[budget] = amounts.get(budget, 0) + cost.amount
    found = [((cost.quota, cost.key), cost.amount) for cost in bulk.costs or ()]
    assert found == list(amounts.items())


def test_folded_updates_are_the_last_one_with_the_messages_of_all() -> None:
    """In a bulk, updates that were folded are one item of several messages."""
    notes = (Note("dropped", "a", "x"),)
    first, last = single("a", notes=notes), single("b", state_key="user:1")
    update = folded([first, last], [{"event": "b", "n": 1}])

    assert (update.message_ids, update.state_key, update.notes) == (("a", "b"), "user:1", notes)
    assert packed([update, single("c")])[0].items == (("a", "b"), ("c",))


def lines() -> list[HttpRequest]:
    return [
        HttpRequest(
            url=URL,
            content=b"x" * (n % 7) + b"\n",
            content_type="application/x-ndjson",
            gzip=True,
            message_ids=(str(n),),
        )
        for n in range(50)
    ]


@pytest.mark.parametrize(
    "join", [b"".join, b",".join, lambda items: b"[" + b";".join(items) + b"]"]
)
@pytest.mark.parametrize("most_bytes", [20, 27, 28, 29, 60])
def test_bodies_of_bytes_are_counted_to_the_byte(
    join: Callable[[list[bytes]], bytes], most_bytes: int
) -> None:
    """Before any gzip, whatever stands around the items and between them."""
    singles = {single.message_ids[0]: single for single in lines()}

    found = bulks(
        singles.values(),
        item=lambda request: request.content,
        body=join,
        most=100,
        most_bytes=most_bytes,
    )

    assert [name for bulk in found for name in bulk.message_ids] == list(singles)
    assert all(bulk.gzip and bulk.content_type == "application/x-ndjson" for bulk in found)
    held = [[singles[name].content or b"" for name in bulk.message_ids] for bulk in found]
    for bulk, items, after in zip(found, held, [*held[1:], None], strict=True):
        assert bulk.content == (join(items) if len(items) > 1 else items[0])
        assert len(join(items)) <= most_bytes
        assert after is None or len(join([*items, after[0]])) > most_bytes
