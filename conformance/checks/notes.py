"""Notes: if a value of the message is missing from the requests, a note explains it.

The check looks at the values that the sender chose: the event, its name and category, the group,
and everything in `properties` or `traits`. A value is there if a request holds it unchanged, with
its type. Otherwise there must be a note at its path, above it or below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from conformance.checks.check import Bed, Check
from conformance.checks.scalars import is_opaque, leaves, read_body, scalars
from conformance.checks.traffic import Sent, case_traffic, plain_traffic
from conformance.compare import Difference, shown
from conformance.subject import request_json, wire
from destination_router import Note
from destination_router.pipeline.connection import Connection, Decision

_FIELDS = {
    "identify": ("traits",),
    "track": ("event", "properties"),
    "page": ("name", "category", "properties"),
    "screen": ("name", "category", "properties"),
    "group": ("groupId", "traits"),
    "alias": (),
}

_PROBE: dict[str, Any] = {
    "text": "probe-text",
    "long": "probe-" + "x" * 5000,
    "whole": 717171,
    "fraction": 71.7171,
    "yes": True,
    "nothing": None,
    "nested": {"a": {"b": "probe-nested"}, "empty": {}},
    "list": ["probe-first", 717172, None, False],
    "objects": [{"sku": "probe-sku"}, {"sku": None}],
    "emptyList": [],
    "k" * 5000: "probe-long-key",
    "id": "probe-id",
    "Email": "probe@example.com",
    "dotted.key": "probe-dotted",
    "dotted": {"key": "probe-clash"},
}


def _nothing_missing(bed: Bed) -> Iterator[Difference]:
    for sent in (*plain_traffic(bed), *_probes(bed), *case_traffic(bed)):
        decision = sent.decide()
        message = msgspec.json.decode(sent.raw)
        # A mapping, and what a message says to one destination, may replace the message's fields.
        replaced = sent.mapped or message.get("integrations")
        if decision.result != "requests" or replaced:
            continue
        yield from _unexplained(sent.path, message, decision)


def _probes(bed: Bed) -> Iterator[Sent]:
    """Messages of every call that hold one of each kind of value."""
    connection = bed.subject.connection(bed.settings)
    for kind, fields in _FIELDS.items():
        message = {
            "type": kind,
            "messageId": f"probe-{kind}",
            "userId": "probe-user",
            **{
                field: _PROBE if field in ("traits", "properties") else f"probe-{field}"
                for field in fields
            },
        }
        yield Sent(path=f"probe.{kind}", connection=connection, raw=wire(message))


def _unexplained(path: str, message: dict[str, Any], decision: Decision) -> Iterator[Difference]:
    for field in _FIELDS[decision.type]:
        if message.get(field) not in (None, "", {}, []):
            yield from unexplained_leaves(path, field, message[field], decision)


def unexplained_leaves(
    path: str, field: str, value: Any, decision: Decision
) -> Iterator[Difference]:
    """List the values of a field that no request holds and no note names.

    Args:
        path: the message's, for whoever reads what differs.
        field: where the value stands in the message.
        value: what stands there.
        decision: what the destination made of the message; where a body is of a type that cannot
            be looked into, nothing is said of it.
    """
    if any(map(is_opaque, decision.requests)):
        return
    sent = {_typed(item) for request in decision.requests for item in scalars(request)}
    for place, leaf in leaves(value, field):
        if _typed(leaf) not in sent and not _explained(place, decision.notes):
            got = f"{shown(leaf)} missing at {place[:200]}, and no note"
            yield Difference(path, got, "the value, or a note")


_VANISHING: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    71.7171,
    2**53 + 1,
    10**30,
    "",
    " ",
    "probe",
    "null",
    "x" * 70_000,
    [],
    {},
    [None],
    ["probe", None],
    [[]],
    {"a": None},
    {"a": {}},
    {"": "probe"},
)
"""Values that a destination may not be able to use."""

_TAKEN = (
    "name",
    "category",
    "event",
    "type",
    "id",
    "userId",
    "user_id",
    "anonymousId",
    "anonymous_id",
    "groupId",
    "group_id",
    "messageId",
    "timestamp",
    "time",
    "token",
    "properties",
    "url",
    "title",
    "email",
    "firstName",
    "lastName",
    "phone",
    "avatar",
    "createdAt",
    "price",
    "revenue",
)
"""Property names that a destination may use for something else."""


def _nothing_vanishes(bed: Bed) -> Iterator[Difference]:
    """Send each value alone. It vanished if the requests are the same without it, and unnoted."""
    connection = bed.subject.connection(bed.settings)
    for kind, fields in _FIELDS.items():
        bag = next((field for field in fields if field in ("traits", "properties")), None)
        if bag is None:
            continue
        without = _bodies(_with_bag(connection, kind, {bag: {"kept": "kept"}}))
        for value in _VANISHING:
            sent = _with_bag(connection, kind, {bag: {"kept": "kept", "probe": value}})
            decision = sent.decide()
            vanished = decision.result == "requests" and _bodies(sent) == without
            if vanished and not _explained(f"{bag}.probe", decision.notes):
                got = f"{shown(value)} vanished from {bag}, and no note"
                yield Difference(f"vanishing.{kind}", got, "the value, or a note")
            elif decision.result == "requests":
                message = msgspec.json.decode(sent.raw)
                yield from _unexplained(f"vanishing.{kind}", message, decision)


def _nothing_replaced(bed: Bed) -> Iterator[Difference]:
    """Send properties under names that a destination may use: each arrives or has a note."""
    connection = bed.subject.connection(bed.settings)
    for kind, fields in _FIELDS.items():
        bag = next((field for field in fields if field in ("traits", "properties")), None)
        if bag is None:
            continue
        own = {field: f"own-{field}" for field in fields if field != bag}
        for name in _TAKEN:
            given = {name: f"clash-{name}"}
            sent = _with_bag(connection, kind, {**own, bag: given})
            also = {key: f"other-{name}" for key in _arrived(sent, f"clash-{name}") if key != name}
            for both in (given, {**given, **also}, {**also, **given}):
                sent = _with_bag(connection, kind, {**own, bag: both})
                decision = sent.decide()
                if decision.result == "requests":
                    path = f"clash.{kind}.{name}"
                    yield from _unexplained(path, msgspec.json.decode(sent.raw), decision)


def _arrived(sent: Sent, value: str) -> set[str]:
    """Find the names under which the requests hold a value."""
    return {
        path.rpartition(".")[2]
        for request in sent.decide().requests
        for path, found in leaves(read_body(request), "")
        if found == value
    }


def _with_bag(connection: Connection, kind: str, fields: dict[str, Any]) -> Sent:
    message = {
        "type": kind,
        "messageId": f"probe-{kind}",
        "userId": "probe-user",
        "anonymousId": "probe-anonymous",
        "timestamp": "2026-11-22T10:00:00.000Z",
        "event": "Probe",
        "name": "Probe",
        "groupId": "probe-group",
        **fields,
    }
    return Sent(path=f"probe.{kind}", connection=connection, raw=wire(message))


def _bodies(sent: Sent) -> list[dict[str, Any]]:
    return [request_json(request) for request in sent.decide().requests]


def _typed(value: Any) -> tuple[str, Any]:
    """Tell 1 from 1.0 and from True, which are equal in Python. Containers count by their type."""
    kind = type(value).__name__
    return (kind, None) if isinstance(value, (dict, list)) else (kind, value)


def _explained(place: str, notes: Sequence[Note]) -> bool:
    return any(_covers(note.path, place) for note in notes)


def _covers(noted: str, place: str) -> bool:
    if ".*" in noted:  # every item of a list
        pattern = re.escape(noted).replace(r"\.\*", r"\.[^.]+")
        return re.match(rf"{pattern}(?![^.])", place) is not None
    if noted.endswith("…"):  # a path may be shortened where it is shown
        return place.startswith(noted[:-1])
    return noted == place or place.startswith(f"{noted}.") or noted.startswith(f"{place}.")


CHECKS = (
    Check(
        id="check/notes-nothing-missing",
        title="What is missing from the requests, compared to the message, is explained by a note",
        run=_nothing_missing,
    ),
    Check(
        id="check/notes-nothing-vanishes",
        title="A null, an empty or an odd value is sent, or a note says what became of it",
        run=_nothing_vanishes,
    ),
    Check(
        id="check/notes-nothing-replaced",
        title="A property is not replaced by a field of the same name, but with a note",
        run=_nothing_replaced,
    ),
)
