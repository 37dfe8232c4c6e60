"""Single requests → bulk requests: a window of messages, whatever its users, becomes four.

Users go first, then accounts, then events, then anonymous events (the partner API). Merges of
anonymous users, which Heap takes one by one, follow the users. This moves requests ahead of
others, and Heap makes that harmless:

- A property of a user or account is stateless: Heap keeps only the last value, and it holds for
  past and future events alike [add-user-properties]. The updates of one identity keep their order
  among themselves, so the last value is the same.
- An event carries its own time and idempotency key, and creates no more than the user: nothing
  that is sent later changes it, and it changes nothing that was sent before [track-1].
- A `user_id` belongs to one identity at most and for good, and a merge moves the events that it
  has [identify-1]: whether the merge or an event of that `user_id` comes first, the event ends
  with the identity.

No event goes ahead of an identify that came before it; what does move is an identify, ahead of
events that came before it. Events of a kind keep their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import msgspec

from destination_router import Cost, HttpRequest
from heap_destination import endpoints
from heap_destination.limits import BULK_ACCOUNTS, BULK_EVENTS, BULK_USERS

Packer = Callable[[Sequence[HttpRequest]], list[HttpRequest]]


def pack_requests(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    """Pack single requests, in order, into as few as Heap allows.

    What stands alone in its kind keeps its single form. A request of another kind, or one that is
    a bulk already, is kept as it is, after the rest.
    """
    kinds: dict[tuple[int, str, str], list[HttpRequest]] = defaultdict(list)
    for request in requests:
        path = urlsplit(request.url).path
        rank = _ORDER.get(path, len(_ORDER)) if _is_single(request) else len(_ORDER)
        kinds[rank, request.url, _app_id(request)].append(request)
    packed: list[HttpRequest] = []
    for rank, url, app_id in sorted(kinds, key=lambda kind: kind[0]):
        pack = _PACKERS[rank] if rank < len(_PACKERS) else _unpacked
        packed += pack(kinds[rank, url, app_id])
    return packed


def _users(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    folded = _fold(requests, "identity")
    return _bulks(folded, BULK_USERS, lambda r: {"users": [_item(one) for one in r]})


def _accounts(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    folded = _fold(requests, "account_id")
    return _bulks(folded, BULK_ACCOUNTS, lambda r: {"accounts": [_item(one) for one in r]})


def _events(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests, BULK_EVENTS, lambda r: {"events": [_item(one) for one in r]})


def _partner_events(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(
        requests,
        BULK_EVENTS,
        lambda r: {"library": "server", "events": [one.json["events"][0] for one in r]},
    )


def _partner_users(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(
        requests,
        BULK_USERS,
        lambda r: {"library": "server", "users": [one.json["users"][0] for one in r]},
    )


def _unpacked(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return list(requests)


_ORDER = {
    endpoints.ADD_USER_PROPERTIES: 0,
    endpoints.PARTNER_USERS: 1,
    endpoints.IDENTIFY: 2,
    endpoints.ADD_ACCOUNT_PROPERTIES: 3,
    endpoints.TRACK: 4,
    endpoints.PARTNER_TRACK: 5,
}
_PACKERS: tuple[Packer, ...] = (
    _users,
    _partner_users,
    _unpacked,
    _accounts,
    _events,
    _partner_events,
)


def _fold(requests: Sequence[HttpRequest], key: str) -> list[HttpRequest]:
    """Make one update of all those of a user or account; property by property, the last wins."""
    groups: dict[str, list[HttpRequest]] = defaultdict(list)
    for request in requests:
        groups[request.json[key]].append(request)
    return [group[0] if len(group) == 1 else _folded(group) for group in groups.values()]


def _folded(group: Sequence[HttpRequest]) -> HttpRequest:
    properties: dict[str, Any] = {}
    for request in group:
        properties.update(request.json["properties"])
    return msgspec.structs.replace(
        group[-1],
        json={**group[-1].json, "properties": properties},
        message_ids=_ids(group),
        notes=tuple(chain.from_iterable(request.notes for request in group)),
    )


def _bulks(
    singles: Sequence[HttpRequest],
    most: int,
    body: Callable[[Sequence[HttpRequest]], dict[str, Any]],
) -> list[HttpRequest]:
    chunks = [singles[start : start + most] for start in range(0, len(singles), most)]
    return [chunk[0] if len(chunk) == 1 else _bulk(chunk, body(chunk)) for chunk in chunks]


def _bulk(singles: Sequence[HttpRequest], body: dict[str, Any]) -> HttpRequest:
    return HttpRequest(
        url=singles[0].url,
        headers=singles[0].headers,
        json={"app_id": singles[0].json["app_id"], **body},
        message_ids=_ids(singles),
        notes=tuple(chain.from_iterable(single.notes for single in singles)),
        items=tuple(single.message_ids for single in singles),
        costs=_sum(single.bulk_costs or () for single in singles),
    )


def _sum(costs: Iterable[Iterable[Cost]]) -> tuple[Cost, ...]:
    amounts: dict[tuple[str, str], int] = defaultdict(int)
    for cost in chain.from_iterable(costs):
        amounts[cost.quota, cost.key] += cost.amount
    return tuple(Cost(quota, amount, key) for (quota, key), amount in amounts.items())


def _ids(requests: Iterable[HttpRequest]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(r.message_ids for r in requests)))


def _item(request: HttpRequest) -> dict[str, Any]:
    return {name: value for name, value in request.json.items() if name != "app_id"}


def _app_id(request: HttpRequest) -> str:
    return str(request.json.get("app_id", "")) if isinstance(request.json, dict) else ""


def _is_single(request: HttpRequest) -> bool:
    body = request.json
    if request.items or not isinstance(body, dict):
        return False
    if "library" in body:
        return len(body.get("events") or body.get("users") or ()) == 1
    return not body.keys() & {"users", "accounts", "events"}
