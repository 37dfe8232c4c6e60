"""Configuration that depends on the message: `{{ message.traits.appId || 123 }}`.

As rudder-transformer resolves it before it hands a configuration to a destination: the whole text
of a value is a path from `message` (`event` means the same) and a default for where the message
has nothing at that path, or null. What was read is taken out of the message.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from destination_router.contract.records import Json, Reject
from destination_router.pipeline.normalise import decode_json

MARK = b"{{"
"""A configuration without this text cannot depend on the message."""

_OPEN, _OR, _CLOSE = "{{", "||", "}}"
_PATH = re.compile(r"[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)++", re.ASCII)
_BLANKS = " \t\n\r\f\v"
_ROOTS = frozenset({"message", "event"})


def resolve(config: Json, message: bytes) -> tuple[Json, bytes]:
    """Fill a configuration in for one message.

    Args:
        config: as RudderStack keeps it.
        message: wire JSON; one that cannot be read gives every default.

    Returns:
        The configuration, and the message without what was read: the same bytes where nothing was.
    """
    try:
        content = decode_json(message)[0]
    except Reject:
        return _resolved(config, None, []), message
    taken: list[str] = []
    resolved = _resolved(config, content, taken)
    return resolved, msgspec.json.encode(content) if taken else message


def _resolved(value: Json, message: Any, taken: list[str]) -> Json:
    if isinstance(value, dict):
        return {name: _resolved(item, message, taken) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, message, taken) for item in value]
    if not isinstance(value, str):
        return value
    found = _template(value)
    if found is None:
        return value
    whole, default = found
    root, *path = whole.split(".")
    known = _taken(message, path) if root in _ROOTS else None
    if known is None:
        return default.replace('"', "").strip()
    taken.append(whole)
    return known


def _template(text: str) -> tuple[str, str] | None:
    """Read `{{ path || default }}`; None for any other text.

    Part by part: a regular expression for it tries each blank of a long row for every other.
    """
    text = text.strip(_BLANKS)
    if not (text.startswith(_OPEN) and text.endswith(_CLOSE)) or len(text) < len(_OPEN + _CLOSE):
        return None
    path, mark, default = text[len(_OPEN) : -len(_CLOSE)].partition(_OR)
    path = path.strip(_BLANKS)
    if not mark or _PATH.fullmatch(path) is None:
        return None
    return path, default.strip(_BLANKS)


def _taken(value: Any, path: list[str]) -> Any:
    """Read the value at a path of a message; None if there is none."""
    *way, last = path
    for name in way:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if not isinstance(value, dict) or value.get(last) is None:
        return None
    return value.pop(last)
