"""Packing: bulk requests do the same as the single ones, in an order that harms nobody."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote_plus

import msgspec

from conformance.case import Limit
from conformance.checks.check import Bed, Check
from conformance.checks.scalars import leaves, read_body, scalars
from conformance.checks.traffic import case_traffic, plain_traffic
from conformance.checks.windows import conversation, heavy, many, mixed_window, visitors
from conformance.compare import Difference, shown
from conformance.subject import request_json, wire
from destination_router import HttpRequest, body_bytes
from destination_router.contract.bodies import request_bytes
from destination_router.delivery.delivery_settings import DEFAULT_WINDOW
from destination_router.pipeline.connection import Connection
from destination_router.pipeline.packing import windows as cut

_FEW = 3


def _ids_kept(bed: Bed) -> Iterator[Difference]:
    connection = bed.subject.connection(bed.settings)
    singles = _singles(connection, mixed_window())
    packed = connection.pack(list(singles))
    before = Counter(i for request in singles for i in request.message_ids)
    after = Counter(i for request in packed for i in request.message_ids)
    for message_id in sorted(before | after):
        if not 1 <= after[message_id] <= before[message_id]:
            path = f"message_ids.{message_id}"
            yield Difference(path, f"{after[message_id]} time(s)", f"{before[message_id]} time(s)")
    if empty := connection.pack([]):
        yield Difference("pack([])", f"{len(empty)} request(s)", "[]")


def _one(bed: Bed) -> Iterator[Difference]:
    for sent in (*plain_traffic(bed), *case_traffic(bed)):
        for index, single in enumerate(sent.decide().requests):
            path = f"{sent.path}.requests.{index}"
            wanted = _effect(single)
            packed = sent.connection.pack([single])
            if len(packed) != 1:
                yield Difference(path, f"{len(packed)} request(s)", "1 request")
            elif _effect(packed[0]) != wanted:
                got, single_form = shown(request_json(packed[0])), shown(request_json(single))
                yield Difference(path, got, f"what has the effect of {single_form}")


def _effect(request: HttpRequest) -> tuple[str, str, tuple[str, ...], Counter[str]]:
    """Describe what a request does, the same way for its single and its bulk form."""
    return request.method, request.url, request.message_ids, Counter(map(repr, scalars(request)))


def _order(bed: Bed) -> Iterator[Difference]:
    connection = bed.subject.connection(bed.settings)
    messages = list(conversation())
    place = _places(connection.pack(_singles(connection, messages)))
    for index, message in enumerate(messages):
        if message["type"] == "identify":
            continue
        for earlier in messages[:index]:
            ids = (message["messageId"], earlier["messageId"])
            if earlier["userId"] != message["userId"] or not place.keys() >= set(ids):
                continue
            if place[ids[0]] < place[ids[1]]:
                got = f"{ids[0]} ({message['type']}) ahead of {ids[1]} ({earlier['type']})"
                yield Difference(f"messages.{index}", got, "the order in which the user sent them")


def _visitors_order(bed: Bed) -> Iterator[Difference]:
    """Judge a window in which visitors become users, as the vendor sees it: by endpoint.

    Whatever one person does arrives at one endpoint in the order of the window, by whichever of
    the two ids it came; and no event goes ahead of an identify that names its person.
    """
    connection = bed.subject.connection(bed.settings)
    messages = list(visitors())
    packed = connection.pack(_singles(connection, messages))
    effects = _places(packed)
    streams = _streams(packed)
    for index, message in enumerate(messages):
        for earlier in messages[:index]:
            if not _same_person(message, earlier):
                continue
            ids = (message["messageId"], earlier["messageId"])
            told = f"{ids[0]} ({message['type']}) ahead of {ids[1]} ({earlier['type']})"
            wanted = "the order in which the person sent them"
            for url, places in streams.items():
                if places.keys() >= set(ids) and places[ids[0]] < places[ids[1]]:
                    yield Difference(f"messages.{index}", f"{told} at {url}", wanted)
            events = message["type"] == "track" and earlier["type"] == "identify"
            if events and effects.keys() >= set(ids) and effects[ids[0]] < effects[ids[1]]:
                yield Difference(f"messages.{index}", told, wanted)


def _same_person(one: dict[str, Any], other: dict[str, Any]) -> bool:
    names = ("userId", "anonymousId")
    return any(one.get(name) and one.get(name) == other.get(name) for name in names)


def _streams(requests: Sequence[HttpRequest]) -> dict[str, dict[str, int]]:
    """Find, for each endpoint, the position where each message takes its last effect."""
    streams: dict[str, dict[str, int]] = {}
    for request in requests:
        places = streams.setdefault(request.url, {})
        start = max(places.values(), default=-1) + 1
        in_order = [i for item in request.items for i in item] or request.message_ids
        places.update({message_id: start + place for place, message_id in enumerate(in_order)})
    return streams


def _places(requests: Sequence[HttpRequest]) -> dict[str, tuple[int, int]]:
    """Find where each message takes its last effect: the request, and the place in it."""
    return {
        message_id: (index, place)
        for index, request in enumerate(requests)
        for place, message_id in enumerate(request.message_ids)
    }


def _limits(bed: Bed) -> Iterator[Difference]:
    yield from _unlimited(bed)
    for connection, limits in _by_connection(bed):
        count = 1 + max(limit.max for limit in limits)
        packed = _packed(connection, many(count), _window(connection))
        # A router may be configured to pack more at once, unless the destination says how many.
        at_once = packed if connection.window else _packed(connection, many(count), count)
        for limit in limits:
            largest = _largest(packed, limit)
            beyond = max(largest, _largest(at_once, limit))
            path = f"{limit.url} {limit.items}".rstrip()
            if beyond > limit.max:
                yield Difference(path, f"{beyond} items", f"at most {limit.max}")
            elif largest < limit.max:
                window = _window(connection)
                got = f"at most {largest} items"
                if limit.max > window:
                    got += f", of a window of {window} messages"
                yield Difference(path, got, f"up to {limit.max}")


def _largest(packed: Sequence[HttpRequest], limit: Limit) -> int:
    return max((len(items) for _, items in _bulks(packed, limit)), default=0)


def _window(connection: Connection) -> int:
    return connection.window or DEFAULT_WINDOW


def _unlimited(bed: Bed) -> Iterator[Difference]:
    """Find bulks for which no case file states a limit, so that nothing bounds their size."""
    limits = bed.bench.case_set.limits
    told: set[str] = set()
    for settings in (bed.settings, *(limit.settings for limit in limits)):
        for request in _packed_few(bed.subject.connection(settings)):
            if len(request.message_ids) == 1 or request.url in told:
                continue
            told.add(request.url)
            if not any(list(_bulks([request], limit)) for limit in limits):
                expected = "what the vendor takes at once, with its source, in a case file: limits"
                yield Difference(request.url, "bulks of any size", expected)


def _bytes(bed: Bed) -> Iterator[Difference]:
    for connection, limits in _by_connection(bed):
        for limit in limits:
            if limit.max_bytes is not None:
                windows = heavy(limit.max_bytes, limit.max)
                packed = _packed(connection, windows, _window(connection))
                yield from _byte_breaches(packed, limit, limit.max_bytes)


def _byte_breaches(packed: Sequence[HttpRequest], limit: Limit, most: int) -> Iterator[Difference]:
    found = list(_bulks(packed, limit))
    largest = max((_size(request) for request, items in found if len(items) > 1), default=0)
    one_more = max((_room(request, item) for request, items in found for item in items), default=0)
    path = f"{limit.url} bytes"
    if largest > most:
        yield Difference(path, f"{largest} bytes", f"at most {most}")
    elif largest + one_more < most:
        yield Difference(path, f"at most {largest} bytes", f"up to {most}")


def _size(request: HttpRequest) -> int:
    """Count the bytes of a body as the host sends it, before any gzip."""
    return request_bytes(request)


def _room(request: HttpRequest, item: Any) -> int:
    """Count the bytes that one more item adds to this body, including the comma before it."""
    if request.form is None:  # a comma between items, or a line's end after each
        return len(",") + body_bytes(item)
    return len(quote_plus(b"," + msgspec.json.encode(item)))


def _items(bed: Bed) -> Iterator[Difference]:
    for connection, limits in _by_connection(bed):
        for window in many(_FEW):
            singles = _singles(connection, window)
            said: dict[str, set[str]] = {}
            for single in singles:
                for message_id in single.message_ids:
                    said.setdefault(message_id, set()).update(map(repr, scalars(single)))
            packed = connection.pack(singles)
            for limit in limits:
                for request, items in _bulks(packed, limit):
                    yield from _foreign(request, items, said)


def _by_connection(bed: Bed) -> Iterator[tuple[Connection, list[Limit]]]:
    """Pair the limits of each file with a connection that has its settings."""
    limits = bed.bench.case_set.limits
    for settings, own in groupby(limits, key=lambda limit: limit.settings):
        yield bed.subject.connection(settings), list(own)


def _packed_few(connection: Connection) -> list[HttpRequest]:
    return _packed(connection, many(_FEW), _window(connection))


def _packed(
    connection: Connection, windows: Iterable[list[dict[str, Any]]], most: int
) -> list[HttpRequest]:
    """Pack messages as a host does, at most `size` at once."""
    return [
        request
        for window in windows
        for singles in cut(_singles(connection, window), most)
        for request in connection.pack(singles)
    ]


def _foreign(
    request: HttpRequest, body: Sequence[Any], said: Mapping[str, set[str]]
) -> Iterator[Difference]:
    """Find the items of a bulk that hold something their messages do not."""
    if len(body) > 1 and len(request.items) != len(body):
        yield Difference("items", f"{len(request.items)} named", f"{len(body)}, as in the body")
    for index, (ids, item) in enumerate(zip(request.items, body, strict=False)):
        known = set[str]().union(*(said.get(message_id, set()) for message_id in ids))
        if foreign := {repr(value) for _, value in leaves(item, "")} - known:
            got = f"{', '.join(sorted(foreign))} in the item of {', '.join(ids)}"
            yield Difference(f"items.{index}", got, "what these messages said")


def _bulks(
    requests: Iterable[HttpRequest], limit: Limit
) -> Iterator[tuple[HttpRequest, list[Any]]]:
    """Yield every request that has the form of a bulk, with its list."""
    for request in requests:
        items = limit.listed(read_body(request)) if request.url == limit.url else None
        if items is not None:
            yield request, items


def _input_unchanged(bed: Bed) -> Iterator[Difference]:
    connection = bed.subject.connection(bed.settings)
    singles = _singles(connection, mixed_window())
    given = list(singles)
    before = copy.deepcopy(singles)
    connection.pack(given)
    if given != before:
        yield Difference("requests", "requests that pack changed", "requests as they were")


def _singles(connection: Connection, messages: Iterable[dict[str, Any]]) -> list[HttpRequest]:
    return [
        request for message in messages for request in connection.decide(wire(message)).requests
    ]


CHECKS = (
    Check(
        id="check/packing-ids-kept",
        title="Every message id is kept, and none is in more requests than before",
        run=_ids_kept,
        needs=("pack",),
    ),
    Check(
        id="check/packing-one",
        title="A pack of one has the effect of the single request",
        run=_one,
        needs=("pack",),
    ),
    Check(
        id="check/packing-order",
        title="No event goes ahead of what its user sent before it",
        run=_order,
        needs=("pack",),
    ),
    Check(
        id="check/packing-order-of-visitors",
        title="What a person does arrives in its order, before and after they are known",
        run=_visitors_order,
        needs=("pack",),
    ),
    Check(
        id="check/packing-limits",
        title="Bulk requests are as large as the vendor allows, and no larger",
        run=_limits,
        needs=("pack",),
    ),
    Check(
        id="check/packing-bytes",
        title="Bulk requests hold as many bytes as the vendor allows, and no more",
        run=_bytes,
        needs=("pack",),
    ),
    Check(
        id="check/packing-items",
        title="A bulk names the messages of each of its items, so that an answer can be read",
        run=_items,
        needs=("pack", "on_response"),
    ),
    Check(
        id="check/packing-input-unchanged",
        title="Packing does not change the requests that it is given",
        run=_input_unchanged,
        needs=("pack",),
    ),
)
