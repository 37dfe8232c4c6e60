"""Identifiers: a destination never sends an empty id of a user, a group or an event.

A vendor takes `null` or `""` for one more user, so everybody without an id becomes that user. To
find where a request holds an identifier, the check sends one that appears nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Any

from conformance.checks.check import Bed, Check
from conformance.checks.scalars import leaves, read_body
from conformance.checks.variants import variants
from conformance.compare import Difference, shown
from conformance.subject import wire
from destination_router import HttpRequest
from destination_router.pipeline.connection import Connection, Decision

_KINDS = ("identify", "track", "page", "screen", "group", "alias")
_MARK = "identifier-7f3a"
_NAMES = ("event", "userId", "anonymousId", "groupId", "previousId")
_MISSING: tuple[Any, ...] = (None, "", " ")
_OWN = {"track": ("event",), "group": ("groupId",), "alias": ("previousId",)}
_EMPTY = frozenset({"", "none", "null", "undefined", "nan", "[]", "{}"})


def _none_empty(bed: Bed) -> Iterator[Difference]:
    for label, connection in variants(bed):
        # Settings may make a destination a stand-in for another system, blanks and all.
        values = _MISSING if label == "settings" else _MISSING[:1]
        for kind in _KINDS:
            places = _places(connection, kind)
            names = ("userId", "anonymousId", *_OWN.get(kind, ()))
            for absent in (*((name,) for name in names), *combinations(names, 2)):
                for value in values:
                    path = f"{label}, {kind} with {' and '.join(absent)} of {shown(value)}"
                    message = {**_message(kind), **dict.fromkeys(absent, value)}
                    yield from _breaches(path, connection.decide(wire(message)), places, absent)


def _breaches(
    path: str, decision: Decision, places: Mapping[str, set[str]], absent: Collection[str]
) -> Iterator[Difference]:
    """Find places where an identifier is absent and the request holds an empty value for it."""
    if any(note.path in absent for note in decision.notes):
        return  # the vendor documents it, and the sender is told
    for request in decision.requests:
        for place, sent in _of_request(request):
            if _empty(sent) and not places.get(place, set()).isdisjoint(absent):
                got = f"{shown(sent)} at {place}"
                yield Difference(path, got, "an identifier, or a Reject")


def _message(kind: str) -> dict[str, Any]:
    own = {name: f"{name}-{_MARK}" for name in _NAMES}
    return {
        "type": kind,
        "messageId": "identifier-1",
        "timestamp": "2026-11-22T10:00:00.000Z",
        "name": "N",
        "properties": {"plan": "pro"},
        "traits": {"plan": "pro"},
        **own,
    }


def _places(connection: Connection, kind: str) -> dict[str, set[str]]:
    """Find the places of identifiers, with all of them and with each of the user's ids alone."""
    whole = _message(kind)
    places: dict[str, set[str]] = {}
    for absent in ((), ("userId",), ("anonymousId",)):
        for request in connection.decide(wire({**whole, **dict.fromkeys(absent)})).requests:
            for place, value in _of_request(request):
                names = {name for name in _NAMES if f"{name}-{_MARK}" in str(value)}
                if names:
                    places.setdefault(place, set()).update(names)
    return places


def _of_request(request: HttpRequest) -> Iterator[tuple[str, Any]]:
    """Yield every value of a request with its place, including each part of the URL's path."""
    kind = "json" if request.form is None else "form"
    for name, part in (("params", request.params), (kind, read_body(request))):
        if part:
            yield from leaves(part, name)
    for index, part in enumerate(request.url.split("/")[3:]):
        yield f"url.{index}", part


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _EMPTY)


CHECKS = (
    Check(
        id="check/requests-no-empty-identifier",
        title="No event without a name and no identifier of null or blanks is sent",
        run=_none_empty,
        vendor=True,
    ),
)
