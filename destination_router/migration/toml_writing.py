"""Writes a router.toml: tables for what people edit, and one line for each mapped field.

TOML has no null. In a mapping, an expression that evaluates to null replaces it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from destination_router.contract.records import Json

_HEAD = ("name", "plugin", "subscription", "clientSide", "consent")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_router(gateway: Mapping[str, Json], connections: list[dict[str, Any]]) -> str:
    """Write the configuration of a router.

    Args:
        gateway: its table. Left out if empty.
        connections: each `{"name", "plugin", "settings"}` and, if it has any, `"subscription"`,
            `"clientSide"`, or `"subscriptions"` with `{"name", "subscription", "mapping"}`.
    """
    lines: list[str] = []
    if gateway:
        lines += ["[gateway]", *_pairs(gateway), ""]
    for connection in connections:
        own: dict[str, Json] = {k: connection[k] for k in _HEAD if k in connection}
        lines += ["[[connections]]", *_pairs(own), ""]
        lines += ["[connections.settings]", *_pairs(connection["settings"]), ""]
        for taken in connection.get("subscriptions", []):
            head: dict[str, Json] = {k: taken[k] for k in _HEAD if k in taken}
            lines += ["[[connections.subscriptions]]", *_pairs(head), ""]
            for call, fields in taken.get("mapping", {}).items():
                if fields:
                    shown = {name: without_nulls(field) for name, field in fields.items()}
                    lines += [
                        f"[connections.subscriptions.mapping.{_key(call)}]",
                        *_pairs(shown),
                        "",
                    ]
    return "\n".join(lines)


def without_nulls(mapping: Json) -> Json:
    """Replace a mapping's nulls by an expression that evaluates to null."""
    if mapping is None:
        return {"@json": {"mode": "decode", "value": "null"}}
    if isinstance(mapping, list):
        return [without_nulls(item) for item in mapping]
    if not isinstance(mapping, dict):
        return mapping
    if "@literal" in mapping:
        text = json.dumps(mapping["@literal"])
        return {"@json": {"mode": "decode", "value": text}} if "null" in text else mapping
    if any(isinstance(options, dict) for key, options in mapping.items() if key.startswith("@")):
        return {key: _options(value) for key, value in mapping.items()}
    return {key: without_nulls(item) for key, item in mapping.items()}


def _options(value: Json) -> Json:
    """Leave out options that are null."""
    if not isinstance(value, dict):
        return without_nulls(value)
    return {key: without_nulls(item) for key, item in value.items() if item is not None}


def _pairs(table: Mapping[str, Json]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Json) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case dict():
            inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007F")
