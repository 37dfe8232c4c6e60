"""Configuration that depends on the message: `{{ message.traits.appId || 123 }}`.

As rudder-transformer resolves it before it hands a configuration to a destination: the whole text
of a value is a path from `message` (`event` means the same) and a default for where the message
has nothing, or nothing that counts as true, at that path.
"""

from __future__ import annotations

import re
from typing import Any

from destination_router.contract.records import Json, Reject
from destination_router.pipeline.normalise import decode_json

MARK = b"{{"
"""What a configuration without it cannot depend on the message."""

_TEMPLATE = re.compile(
    r"\s*\{\{\s*(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\s*\|\|\s*(?P<default>.*?)\s*\}\}\s*",
    re.ASCII | re.DOTALL,
)
_ROOTS = frozenset({"message", "event"})


def resolve(config: Json, message: bytes) -> Json:
    """Fill a configuration in for one message.

    Args:
        config: as RudderStack keeps it.
        message: wire JSON; one that cannot be read gives every default.
    """
    try:
        content = decode_json(message)[0]
    except Reject:
        content = None
    return _resolved(config, content)


def _resolved(value: Json, message: Any) -> Json:
    if isinstance(value, dict):
        return {name: _resolved(item, message) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, message) for item in value]
    if not isinstance(value, str):
        return value
    found = _TEMPLATE.fullmatch(value)
    if found is None:
        return value
    root, *path = found["path"].split(".")
    # JavaScript's truth: an empty list or object counts, an empty text or 0 does not.
    known = _at(message, path) if root in _ROOTS else None
    usable = known or isinstance(known, (dict, list))
    return known if usable else found["default"].replace('"', "").strip()


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
