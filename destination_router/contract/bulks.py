"""Makes bulk requests of single ones, within what a vendor takes at once: the parts of a `pack`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import add, attrgetter, gt
from urllib.parse import quote_plus, urlencode

import msgspec

from destination_router.contract.records import Cost, HttpRequest, Json

Bound = tuple[Callable[[Json], int], int]
"""A measure of an item, and the most of it in one bulk."""

_message_ids = attrgetter("message_ids")
_notes = attrgetter("notes")
_encode = msgspec.json.Encoder().encode


def bulks(  # noqa: PLR0913 -- what differs between vendors, by keyword
    requests: Iterable[HttpRequest],
    *,
    item: Callable[[HttpRequest], Json],
    body: Callable[[list[Json]], Json],
    most: int,
    most_bytes: int | None = None,
    bounds: Sequence[Bound] = (),
) -> list[HttpRequest]:
    """Put single requests that go to one place into as few bulk requests as the vendor allows.

    The requests keep their order. A request that stays alone keeps its single form, however large
    it is. A bulk has the URL, query, headers, authentication, type and `gzip` of its first request.
    Its `items` name the messages of each item. Its costs are the `bulk_costs` of its requests.

    Args:
        requests: the single requests, in order.
        item: makes an item of the bulk's list from a single request. If the requests have bytes
            (`content`), it returns bytes: `lambda request: request.content`.
        body: makes a bulk's body from its items: JSON, a form's fields if the requests have forms,
            or bytes if they have bytes. For lines of JSON that end with a line feed: `b"".join`.
        most: how many items the vendor takes at once.
        most_bytes: how many bytes of body it takes, before compression. None is any number.
        bounds: what else the vendor limits.
    """
    singles = list(requests)
    limits = [(_one, most), *bounds]
    if most_bytes is not None and singles:
        limits.append(_bytes_bound(most_bytes, body, singles[0], item))
    return [
        run[0] if len(run) == 1 else _bulk(run, body(items))
        for run, items in _runs(singles, item, limits)
    ]


def folded(requests: Sequence[HttpRequest], json: Json) -> HttpRequest:
    """Make one request of several that overwrite the same state: the last one, with this body.

    It carries the messages and notes of all. In a bulk, they are one item.
    """
    return msgspec.structs.replace(
        requests[-1],
        json=json,
        message_ids=_ids(requests),
        notes=tuple(chain.from_iterable(map(_notes, requests))),
    )


def body_bytes(body: Json) -> int:
    """Count the bytes of a JSON body as the host sends it, before any gzip."""
    return len(_encode(body))


def _runs(
    requests: Iterable[HttpRequest], item: Callable[[HttpRequest], Json], limits: Sequence[Bound]
) -> Iterator[tuple[list[HttpRequest], list[Json]]]:
    """Cut requests, in order, into those that fit into one bulk, each with its items."""
    if len(limits) == 1:  # by their number alone
        _, together = limits[0]
        singles = list(requests)
        for start in range(0, len(singles), max(1, together)):
            some = singles[start : start + max(1, together)]
            yield some, [item(request) for request in some]
        return
    run: list[HttpRequest] = []
    items: list[Json] = []
    measures = [measure for measure, _ in limits]
    most = [most for _, most in limits]
    taken = [0] * len(limits)
    for request in requests:
        made = item(request)
        weights = [measure(made) for measure in measures]
        taken = [*map(add, taken, weights)]
        if run and True in map(gt, taken, most):
            yield run, items
            run, items, taken = [], [], weights
        run.append(request)
        items.append(made)
    if run:
        yield run, items


def _one(_: Json) -> int:
    return 1


def _bytes_bound(
    most_bytes: int,
    body: Callable[[list[Json]], Json],
    first: HttpRequest,
    item: Callable[[HttpRequest], Json],
) -> Bound:
    """Say what an item adds to a body, and how many bytes there are for all items."""
    if first.content is not None:
        one = item(first)
        around = len(body([one])) - _content_bytes(body, one)
        return lambda made: _content_bytes(body, made), most_bytes - around
    if first.form is not None:
        return _form_bytes, most_bytes - len(urlencode(body([])))
    return _json_bytes, most_bytes - body_bytes(body([]))


def _content_bytes(body: Callable[[list[Json]], Json], item: Json) -> int:
    """Count what an item adds to a body that holds one already, whatever stands between them."""
    return len(body([item, item])) - len(body([item]))


def _json_bytes(item: Json) -> int:
    return body_bytes(item) + len(",")


def _form_bytes(item: Json) -> int:
    """Count an item's bytes in a form's field, where it stands as JSON and is URL-encoded."""
    return len(quote_plus(_encode(item))) + len(quote_plus(","))


def _bulk(singles: Sequence[HttpRequest], body: Json) -> HttpRequest:
    first = singles[0]
    ids = tuple(map(_message_ids, singles))
    kind = "json" if first.form is None else "form"
    if first.content is not None:
        kind = "content"
    return HttpRequest(
        method=first.method,
        url=first.url,
        params=first.params,
        headers=first.headers,
        auth=first.auth,
        message_ids=tuple(dict.fromkeys(chain.from_iterable(ids))),
        notes=tuple(chain.from_iterable(map(_notes, singles))),
        items=ids,
        costs=_costs(singles),
        content_type=first.content_type,
        gzip=first.gzip,
        **{kind: body},
    )


def _costs(singles: Sequence[HttpRequest]) -> tuple[Cost, ...] | None:
    """Add up what each adds to a bulk; None, for the host to count, where none of them says."""
    amounts: dict[tuple[str, str], int] = {}
    # What each takes from a budget of all is mostly one object: it is looked up once.
    common: Cost | None = None
    more_of_common = 0
    is_stated = False
    single: HttpRequest
    cost: Cost
    for single in singles:
        costs = single.bulk_costs
        if costs is None:
            costs = single.costs
            if costs is None:
                continue
        is_stated = True
        for cost in costs:
            if cost is common:
                more_of_common += cost.amount
                continue
            common = cost if common is None else common
            budget = cost.quota, cost.key
            amounts[budget] = amounts.get(budget, 0) + cost.amount
    if common is not None:
        amounts[common.quota, common.key] += more_of_common
    if not is_stated:
        return None
    return tuple([Cost(quota, amount, key) for (quota, key), amount in amounts.items()])


def _ids(requests: Iterable[HttpRequest]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(map(_message_ids, requests))))
