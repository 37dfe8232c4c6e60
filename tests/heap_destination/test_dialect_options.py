"""Every option of every dialect matters: change any one, and a conformance case fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from conformance.case import load_cases
from conformance.expectation import case_differences
from conformance.subject import PluginSubject
from destination_router.plugins.loading import load_plugin
from heap_destination.dialects import DIALECTS, Shape

CASES = load_cases(Path(__file__).parents[2] / "conformance" / "cases" / "heap").cases

ADDED: dict[str, tuple[str, ...]] = {
    "event_identity": ("userId",),
    "named": ("name",),
    "without": ("a",),
}
"""What is put into an option that is empty."""

_PLACES = "the firewall knows its places: integrations.Heap.identity, then userId"
_ORDER = "the order of keys is free in cases; test_dialects.py holds it"
_TIMES = "a batch has its own time only where times are sent as given, by RudderStack"
_TYPES = "no case of it spells a type otherwise"
MOOT = {
    "heap": {
        "batches=True": _TIMES,
        "event_identity-userId": _PLACES,
        "event_identity reversed": _PLACES,
        "user_identity-userId": _PLACES,
        "user_identity reversed": _PLACES,
        "identifier_choice=all": "it has no identifiers to choose from",
        "named reversed": _ORDER,
    },
    "segment": {
        "batches=True": _TIMES,
        "exact_type=True": _TYPES,
        "names reversed": _ORDER,
        "anonymous=True": "only the documented API has to be told what to do without an identity",
        "profile_anonymous_id=last": _ORDER,
    },
    "segment-cloud": {
        "batches=True": _TIMES,
        "exact_type=True": _TYPES,
        "names reversed": _ORDER,
        "anonymous=True": "only the documented API has to be told what to do without an identity",
        "identifiers reversed": _ORDER,
    },
    "rudderstack": {
        "named+('name',)": "the name of a track is read in Segment's dialects alone",
        "anonymous=True": "an anonymousId is an identity there",
        "identifier_choice=all": "it has no identifiers to choose from",
        "traits_need_identity=True": "an event sends no traits",
    },
}
"""The changes that change nothing, and why."""


def changes(options: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """List every dialect that differs from one in a single option, with what was changed."""
    hints = get_type_hints(type(options))
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if name == "orders":  # the order of keys is free in cases; test_dialects.py holds it
            continue
        for told, changed in _others(name, value, hints[name], f"{path}{name}"):
            yield told, msgspec.structs.replace(options, **{name: changed})


def _others(name: str, value: Any, hint: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Shape):
        yield from changes(value, f"{path}.")
    elif get_origin(hint) is Literal:
        yield from ((f"{path}={other}", other) for other in get_args(hint) if other != value)
    elif isinstance(value, bool):
        yield f"{path}={not value}", not value
    elif isinstance(value, (tuple, frozenset)):
        yield from _other_members(name, value, path)
    elif isinstance(value, dict):
        for key in value:
            yield f"{path}-{key}", {k: v for k, v in value.items() if k != key}
            yield f"{path}.{key}=other", {**value, key: "other"}
    elif name == "subscription":
        clauses = value.split(" or ")
        for clause in clauses:
            yield f"{path}-{clause}", " or ".join(c for c in clauses if c != clause)
    else:
        yield f"{path}=other", "other"


def _other_members(
    name: str, value: tuple[str, ...] | frozenset[str], path: str
) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    for item in sorted(value):
        yield f"{path}-{item}", kind(other for other in value if other != item)
    if isinstance(value, tuple) and len(value) > 1:
        yield f"{path} reversed", value[::-1]
    if not value and name in ADDED:
        yield f"{path}+{ADDED[name]}", ADDED[name]


def survivors(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the changes to a dialect that none of its cases notices."""
    cases = [case for case in CASES if case.settings.get("dialect", "heap") == name]
    unnoticed = []
    for told, changed in changes(DIALECTS[name]):
        monkeypatch.setitem(DIALECTS, name, changed)
        subject = PluginSubject(load_plugin("heap"))
        if not any(next(case_differences(subject, case), None) for case in cases):
            unnoticed.append(told)
    return unnoticed


@pytest.mark.parametrize("name", ["heap", "segment", "segment-cloud", "rudderstack"])
def test_every_option_is_held_by_a_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that could be changed unnoticed is not needed, or lacks a case."""
    assert set(survivors(name, monkeypatch)) == set(MOOT[name])
