"""Slips in packing and in reading the answer to a bulk."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from conformance.mutants.mutation import Mutant
from destination_router import HttpRequest

_LISTS = ("events", "users", "accounts")


def _changed(request: HttpRequest, **fields: object) -> HttpRequest:
    return msgspec.structs.replace(request, json={**request.json, **fields})


def _list(request: HttpRequest) -> str | None:
    """The key of a bulk request's list."""
    body = request.json if isinstance(request.json, dict) else {}
    return next((name for name in _LISTS if name in body), None)


def _last_message_lost(requests: list[HttpRequest]) -> list[HttpRequest]:
    last = requests[-1]
    key = _list(last)
    if key is None or len(last.message_ids) < 2:  # noqa: PLR2004 -- nothing to lose
        return requests
    lost = _changed(last, **{key: last.json[key][:-1]})
    return [*requests[:-1], msgspec.structs.replace(lost, message_ids=last.message_ids[:-1])]


def _items_reversed(requests: list[HttpRequest]) -> list[HttpRequest]:
    keys = [(request, _list(request)) for request in requests]
    return [
        request if key is None else _changed(request, **{key: request.json[key][::-1]})
        for request, key in keys
    ]


def _sent_twice(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [*requests, *requests[-1:]]


def _events_first(requests: list[HttpRequest]) -> list[HttpRequest]:
    return sorted(requests, key=lambda request: not request.url.endswith("/track"))


def _app_id_in_the_items(requests: list[HttpRequest]) -> list[HttpRequest]:
    keys = [(request, _list(request)) for request in requests]
    return [
        request
        if key is None
        else _changed(
            request,
            **{key: [{"app_id": request.json["app_id"], **item} for item in request.json[key]]},
        )
        for request, key in keys
    ]


def _ids_forgotten(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [
        msgspec.structs.replace(request, message_ids=request.message_ids[:1])
        for request in requests
    ]


def _key_forgotten(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [
        _changed(
            request,
            events=[
                {name: value for name, value in item.items() if name != "idempotency_key"}
                for item in request.json["events"]
            ],
        )
        if _list(request) == "events"
        else request
        for request in requests
    ]


def _alone_in_bulks(requests: list[HttpRequest]) -> list[HttpRequest]:
    plurals = {"track": "events", "add_user_properties": "users"}
    return [
        msgspec.structs.replace(
            request,
            json={
                "app_id": request.json["app_id"],
                plural: [{k: v for k, v in request.json.items() if k != "app_id"}],
            },
            items=(request.message_ids,),
        )
        if _list(request) is None and (plural := plurals.get(request.url.rpartition("/")[2]))
        else request
        for request in requests
    ]


def _items_unnamed(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [msgspec.structs.replace(request, items=()) for request in requests]


def _items_named_backwards(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [msgspec.structs.replace(request, items=request.items[::-1]) for request in requests]


_Repack = Callable[[list[HttpRequest]], list[HttpRequest]]


def _repack(mutant_id: str, description: str, repack: _Repack) -> Mutant:
    return Mutant(id=mutant_id, description=description, repack=repack, needs=("pack",))


def _limit(kind: str, wrong: int) -> Mutant:
    return Mutant(
        id=f"pack-{wrong}-{kind}",
        description=f"a bulk holds up to {wrong} {kind}",
        module="limits",
        old=f"BULK_{kind.upper()}: Final = 1000",
        new=f"BULK_{kind.upper()}: Final = {wrong}",
        needs=("pack",),
    )


def _slip(mutant_id: str, description: str, old: str, new: str, module: str = "packing") -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


PACKING = (
    _repack("pack-loses-the-last", "the last item of a bulk is lost", _last_message_lost),
    _repack("pack-reverses", "an order swapped: a bulk's items are reversed", _items_reversed),
    _repack("pack-sends-twice", "the last request is sent twice", _sent_twice),
    _repack("pack-events-first", "events go ahead of their users", _events_first),
    _repack("pack-app-id-in-items", "each item repeats the app_id", _app_id_in_the_items),
    _repack("pack-forgets-ids", "a bulk names only its first message", _ids_forgotten),
    _repack("pack-forgets-keys", "events lose their idempotency key in a bulk", _key_forgotten),
    *(_limit(kind, wrong) for kind in ("events", "users", "accounts") for wrong in (999, 1001)),
    _slip(
        "pack-in-order-of-arrival",
        "kinds are packed in the order in which they came",
        "in sorted(kinds, key=lambda kind: kind[0]):",
        "in kinds:",
    ),
    _slip(
        "pack-merges-first",
        "users are merged before they exist",
        "    paths.IDENTIFY: 2,\n",
        "    paths.IDENTIFY: -1,\n",
    ),
    _slip(
        "fold-first-wins",
        "of a user's updates the earlier value wins",
        '        properties.update(request.json["properties"])\n',
        '        properties = {**request.json["properties"], **properties}\n',
    ),
    _slip(
        "fold-forgets",
        "of a user's updates only the last one counts",
        '        properties.update(request.json["properties"])\n',
        '        properties = dict(request.json["properties"])\n',
    ),
    _slip(
        "fold-forgets-ids",
        "of a user's updates only the last one is named",
        "return folded(group, ",
        "return folded(group[-1:], ",
    ),
    _slip(
        "fold-in-any-casing",
        "users whose identities differ in casing are folded",
        "groups[request.json[key]].append(request)",
        "groups[request.json[key].lower()].append(request)",
    ),
    _slip(
        "fold-not-at-all",
        "a user stands in a bulk several times",
        '_fold(requests, "identity")',
        "requests",
    ),
    _slip(
        "accounts-not-folded",
        "an account stands in a bulk several times",
        '_fold(requests, "account_id")',
        "requests",
    ),
    _repack("bulk-of-one", "what stands alone becomes a bulk of one", _alone_in_bulks),
    _repack(
        "bulk-without-items",
        "a bulk does not say which message each of its items is",
        _items_unnamed,
    ),
    _repack(
        "bulk-items-backwards",
        "a bulk names its items in another order than its body",
        _items_named_backwards,
    ),
    _slip(
        "answer-off-by-one",
        "the message before the bad one is rejected",
        "guilty = request.items[int(named[1])]",
        "guilty = request.items[int(named[1]) - 1]",
        "responses",
    ),
    _slip(
        "answer-beyond-the-end",
        "an answer that names an item that is not there breaks the reading",
        "if named is None or int(named[1]) >= len(request.items):",
        "if named is None:",
        "responses",
    ),
    _slip(
        "answer-condemns-all",
        "one bad event costs its neighbours",
        "if named is None or int(named[1]) >= len(request.items):",
        "if True:",
        "responses",
    ),
    _slip(
        "answer-forgets-the-others",
        "the neighbours of a bad event are taken for delivered",
        "again = Outcome.retry(after=0, code=code)",
        "again = Outcome.delivered()",
        "responses",
    ),
    _slip(
        "answer-waits",
        "the neighbours of a bad event wait as after an overload",
        "again = Outcome.retry(after=0, code=code)",
        "again = Outcome.retry(code=code)",
        "responses",
    ),
    _slip(
        "answer-about-events-only",
        "an answer about a user or an account is not understood",
        "(?:events|users|accounts)",
        "(?:events)",
        "responses",
    ),
    _slip(
        "answer-condemns-what-was-folded",
        "all updates that went into one item are rejected, the good ones too",
        "Outcome.rejected(code, detail) if len(guilty) == 1 else Outcome.suspect(code, detail)",
        "Outcome.rejected(code, detail)",
        "responses",
    ),
)
