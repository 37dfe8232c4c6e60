"""Single requests → bulk requests: a window of messages, whatever its users, becomes four.

Users go first, then merges of anonymous users, which Heap takes one by one, then accounts, events,
and anonymous events (the partner API). This changes the order of requests. With Heap, that is
harmless:

- A property of a user or account is stateless: Heap keeps only the last value, and it holds for
  past and future events alike [add-user-properties]. The updates of one identity keep their order
  among themselves, so the last value is the same.
- An event carries its own time and idempotency key, and creates at most the user. Nothing that is
  sent later changes it, and it changes nothing that was sent before [track-1].
- A `user_id` belongs to one identity for good, and a merge moves its events [identify-1]. Whether
  the merge or an event of that `user_id` comes first, the event ends up with the identity.

No event overtakes an identify that came before it. An identify does overtake events that came
before it. Events of one kind keep their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from destination_router import HttpRequest, bulks, folded
from heap_destination import paths
from heap_destination.limits import BULK_ACCOUNTS, BULK_EVENTS, BULK_USERS

Packer = Callable[[Sequence[HttpRequest]], list[HttpRequest]]


def pack_requests(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    """Pack single requests, in order, into as few as Heap allows.

    The only request of its kind keeps its single form. A request of any other kind, or one that is
    a bulk already, goes after the rest, unchanged.
    """
    kinds: dict[tuple[int, str, str], list[HttpRequest]] = defaultdict(list)
    plain: dict[str, tuple[Any, list[HttpRequest]]] = {}
    request: HttpRequest
    for request in requests:
        url, body = request.url, request.json
        if (
            request.items
            or type(body) is not dict
            or "library" in body
            or "events" in body
            or "users" in body
            or "accounts" in body
        ):
            rank = _rank(url) if _is_single(request) else len(_ORDER)
            kinds[rank, url, _app_id(request)].append(request)
            continue
        # As nearly all are, and of few URLs and one app: its kind is looked up once for each URL.
        app_id = body.get("app_id")
        known = plain.get(url)
        if known is None or known[0] is not app_id:
            known = plain[url] = (app_id, kinds[_rank(url), url, _app_id(request)])
        known[1].append(request)
    packed: list[HttpRequest] = []
    for rank, url, app_id in sorted(kinds, key=lambda kind: kind[0]):
        pack = _PACKERS[rank] if rank < len(_PACKERS) else _unpacked
        packed += pack(kinds[rank, url, app_id])
    return packed


def _users(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(_fold(requests, "identity"), BULK_USERS, "users")


def _accounts(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(_fold(requests, "account_id"), BULK_ACCOUNTS, "accounts")


def _events(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests, BULK_EVENTS, "events")


def _partner_events(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _partner_bulks(requests, BULK_EVENTS, "events")


def _partner_users(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return _partner_bulks(requests, BULK_USERS, "users")


def _unpacked(requests: Sequence[HttpRequest]) -> list[HttpRequest]:
    return list(requests)


_ORDER = {
    paths.ADD_USER_PROPERTIES: 0,
    paths.PARTNER_USERS: 1,
    paths.IDENTIFY: 2,
    paths.ADD_ACCOUNT_PROPERTIES: 3,
    paths.TRACK: 4,
    paths.PARTNER_TRACK: 5,
}
_BULKS = frozenset(("events", "users", "accounts"))
_PACKERS: tuple[Packer, ...] = (
    _users,
    _partner_users,
    _unpacked,
    _accounts,
    _events,
    _partner_events,
)


def _fold(requests: Sequence[HttpRequest], key: str) -> list[HttpRequest]:
    """Merge all updates of a user or account into one. The last value of a property wins."""
    groups: dict[str, list[HttpRequest]] = defaultdict(list)
    for request in requests:
        groups[request.json[key]].append(request)
    return [group[0] if len(group) == 1 else _folded(group) for group in groups.values()]


def _folded(group: Sequence[HttpRequest]) -> HttpRequest:
    properties: dict[str, Any] = {}
    for request in group:
        properties.update(request.json["properties"])
    return folded(group, {**group[-1].json, "properties": properties})


def _bulks(requests: Sequence[HttpRequest], most: int, plural: str) -> list[HttpRequest]:
    app_id = _app_id(requests[0])
    return bulks(
        requests,
        item=_item,
        body=lambda items: {"app_id": app_id, plural: items},
        most=most,
    )


def _partner_bulks(requests: Sequence[HttpRequest], most: int, plural: str) -> list[HttpRequest]:
    app_id = _app_id(requests[0])
    return bulks(
        requests,
        item=lambda request: request.json[plural][0],
        body=lambda items: {"app_id": app_id, "library": "server", plural: items},
        most=most,
    )


def _item(request: HttpRequest) -> dict[str, Any]:
    item = dict(request.json)
    item.pop("app_id", None)
    return item


def _rank(url: str) -> int:
    return _ORDER.get(urlsplit(url).path, len(_ORDER))


def _app_id(request: HttpRequest) -> str:
    body = request.json
    return str(body.get("app_id", "")) if isinstance(body, dict) else ""


def _is_single(request: HttpRequest) -> bool:
    body = request.json
    if request.items or not isinstance(body, dict):
        return False
    if "library" in body:
        return len(body.get("events") or body.get("users") or ()) == 1
    return _BULKS.isdisjoint(body)
