"""Notes: whatever is missing from the requests, compared to the message, is explained by a note.

Looked at are the values that the sender chose: the event, its name and category, the group, and
everything in `properties` or `traits`. A value is there if a request holds it unchanged, with its
type; otherwise a note must stand at its path, above it or below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from conformance.checks.check import Bed, Check
from conformance.checks.scalars import leaves, scalars
from conformance.checks.traffic import Sent, case_traffic, plain_traffic
from conformance.compare import Difference, shown
from conformance.subject import wire
from destination_router import Note
from destination_router.pipeline.connection import Decision

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
        decision: what the destination made of the message.
    """
    sent = {_typed(item) for request in decision.requests for item in scalars(request)}
    for place, leaf in leaves(value, field):
        if _typed(leaf) not in sent and not _explained(place, decision.notes):
            got = f"{shown(leaf)} missing at {place[:200]}, and no note"
            yield Difference(path, got, "the value, or a note")


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
)
