"""How the values of a setting disagree on one object: a table in the docs, made by running them.

The object has one of each thing that mappings treat differently: nested lists, a boolean, null,
what is empty. It is sent as an event's properties and as a user's traits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from conformance.bench import open_bench
from conformance.case import CaseError
from conformance.subject import PluginSubject, wire

DISPUTED: dict[str, Any] = {
    "a": 1,
    "b": True,
    "c": None,
    "f": {"g": [1, {"h": 2}], "i": {}},
    "j": [],
    "m": ["v", "c"],
}
"""The object on which systems disagree."""

_MESSAGES = {
    "events": {"type": "track", "event": "Paid", "properties": DISPUTED},
    "traits": {"type": "identify", "traits": DISPUTED},
}
_IDS = {"messageId": "m-00000001", "userId": "ada", "anonymousId": "a-1"}


def disagreement_table(name: str, setting: str, values: list[str]) -> str:
    """Draw the table.

    Args:
        name: what a configuration calls the destination.
        setting: the setting that decides.
        values: its values, a pair of rows each.

    Raises:
        CaseError: the destination cannot be loaded.
    """
    bench = open_bench(name)
    if not isinstance(bench.subject, PluginSubject):
        raise CaseError(bench.load_error)
    lines = ["| | arrays | types | null | empty |", "|---|---|---|---|---|"]
    for value in values:
        settings = {**bench.settings, setting: value}
        for part in _MESSAGES:
            columns = " | ".join(_described(becomes(bench.subject, settings, part)))
            lines.append(f"| {value}, {part} | {columns} |")
    return "\n".join(lines) + "\n"


def becomes(subject: PluginSubject, settings: dict[str, Any], part: str) -> dict[str, Any]:
    """Say what becomes of the object as an event's properties (`events`) or a user's `traits`."""
    message = {**_IDS, **_MESSAGES[part]}
    decision = subject.connection(settings).decide(wire(message))
    body = msgspec.to_builtins(decision.requests[-1].json)
    return next(found for found in _objects(body) if "a" in found)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """List all objects in a JSON value, from the outside in."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from _objects(item)


def _described(flat: dict[str, Any]) -> tuple[str, str, str, str]:
    """Read the columns off what came out."""
    arrays = (
        f"`m` as {json.dumps(flat['m'])}"
        if "m" in flat
        else ", ".join(f"`{key}`" for key in flat if key.startswith("m") or key.endswith("h"))
    )
    texts = all(isinstance(flat[key], str) for key in ("a", "b"))
    types = "all text" if texts else "kept" if flat["b"] is True else "number or text"
    null = json.dumps(flat["c"]) if "c" in flat else "left out"
    empty = "kept" if "j" in flat else "left out"
    return arrays.replace("|", r"\|"), types, null, empty
