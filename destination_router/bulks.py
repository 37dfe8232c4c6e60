"""Single requests → bulk requests, within what a vendor takes at once: what a `pack` is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from destination_router.model import Cost, HttpRequest, Json

_encode = msgspec.json.Encoder().encode


def bulks(
    requests: Iterable[HttpRequest],
    *,
    item: Callable[[HttpRequest], Json],
    body: Callable[[list[Json]], Json],
    most: int,
    most_bytes: int | None = None,
) -> list[HttpRequest]:
    """Put single requests that go to one place into as few bulk requests as the vendor allows.

    They keep their order. One that stands alone keeps its single form, however large it is. A
    bulk has the first one's URL, query, headers and authentication; its `items` name the messages
    of each item; its costs are what its requests add to a bulk (`bulk_costs`).

    Args:
        requests: in order.
        item: what a single request becomes in the bulk's list.
        body: a bulk's body, from its items.
        most: how many items the vendor takes at once.
        most_bytes: how many bytes of body; None for any number.
    """
    return [
        run[0] if len(run) == 1 else _bulk(run, body([item(request) for request in run]))
        for run in _runs(requests, item, body, most, most_bytes)
    ]


def folded(requests: Sequence[HttpRequest], json: Json) -> HttpRequest:
    """Make one request of several that overwrite the same state: the last one, with this body.

    It carries the messages and notes of all. In a bulk they are one item.
    """
    return msgspec.structs.replace(
        requests[-1],
        json=json,
        message_ids=_ids(requests),
        notes=tuple(chain.from_iterable(request.notes for request in requests)),
    )


def body_bytes(body: Json) -> int:
    """Count the bytes of a JSON body as the host sends it."""
    return len(_encode(body))


def _runs(
    requests: Iterable[HttpRequest],
    item: Callable[[HttpRequest], Json],
    body: Callable[[list[Json]], Json],
    most: int,
    most_bytes: int | None,
) -> Iterator[list[HttpRequest]]:
    """Cut requests, in order, into those that fit into one bulk."""
    room = None if most_bytes is None else most_bytes - body_bytes(body([]))
    run: list[HttpRequest] = []
    taken = 0
    for request in requests:
        size = 0 if room is None else body_bytes(item(request)) + len(",")
        if run and (len(run) == most or (room is not None and taken + size > room)):
            yield run
            run, taken = [], 0
        run.append(request)
        taken += size
    if run:
        yield run


def _bulk(singles: Sequence[HttpRequest], body: Json) -> HttpRequest:
    first = singles[0]
    return HttpRequest(
        method=first.method,
        url=first.url,
        params=first.params,
        headers=first.headers,
        auth=first.auth,
        json=body,
        message_ids=_ids(singles),
        notes=tuple(chain.from_iterable(single.notes for single in singles)),
        items=tuple(single.message_ids for single in singles),
        costs=_costs(singles),
    )


def _costs(singles: Sequence[HttpRequest]) -> tuple[Cost, ...] | None:
    """Add up what each adds to a bulk; None, for the host to count, where none of them says."""
    stated = [s.costs if s.bulk_costs is None else s.bulk_costs for s in singles]
    if all(costs is None for costs in stated):
        return None
    amounts: dict[tuple[str, str], int] = defaultdict(int)
    for cost in chain.from_iterable(costs or () for costs in stated):
        amounts[cost.quota, cost.key] += cost.amount
    return tuple(Cost(quota, amount, key) for (quota, key), amount in amounts.items())


def _ids(requests: Iterable[HttpRequest]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(r.message_ids for r in requests)))
