"""A pixel's query → an event: `/pixel/v1/track?userId=u&event=E&properties.price=1`.

As in rudder-server, a parameter's name is a path into the event (in the syntax of sjson, a library
for Go), and its value is text. The answer is always the same picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from destination_router.contract.times import format_time

GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""One transparent pixel."""

UNKNOWN_PAGE = "Unknown Page"

_WRITE_KEY = "writeKey"
_PART = re.compile(r"((?:[^.\\]++|\\.|\\\Z)*+)(?:\.|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PATTERN = re.compile(r"(?<!\\)[*?#|@]")
_LONGEST_PATH = 2000
"""The longest name of a parameter. The time to find its dots grows faster than its length."""

_LONGEST_LIST = 100
_DEEPEST = 32


def pixel_event(kind: str, query: Iterable[tuple[str, str]], now: datetime) -> bytes:
    """Make an event of a query. A name that is not a path is left out.

    Args:
        kind: `track` or `page`.
        query: names and values, decoded; of a name that is there twice, the first counts.
        now: becomes `originalTimestamp` and `sentAt`.
    """
    moment = format_time(now)
    event: dict[str, Any] = {
        "channel": "web",
        "integrations": {"All": True},
        "originalTimestamp": moment,
        "sentAt": moment,
    }
    seen = {_WRITE_KEY}
    for name, value in query:
        if name not in seen:
            seen.add(name)
            _set(event, name, value)
    event["type"] = kind
    if kind == "page" and not event.get("name"):
        event["name"] = UNKNOWN_PAGE
    return msgspec.json.encode(event)


def _set(event: dict[str, Any], path: str, value: str) -> None:
    parts = _parts(path)
    if not parts:
        return
    node: Any = event
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        index = _index(part, node)
        if index is None and not isinstance(node, dict):
            return
        if following is None:
            _put(node, part, index, value)
            return
        known = _at(node, part, index)
        if not isinstance(known, (dict, list)):
            known = [] if _is_index(following) else {}
            if not _put(node, part, index, known):
                return
        node = known


def _parts(path: str) -> list[str]:
    """Cut a path at its dots; empty if it is empty or a pattern."""
    if not 0 < len(path) <= _LONGEST_PATH or _PATTERN.search(path):
        return []
    parts = [match[1] for match in _PART.finditer(path)][: path.count(".") + 1]
    if path[-1] != "." and parts and parts[-1] == "":
        parts.pop()
    return parts if 0 < len(parts) <= _DEEPEST and all(parts) else []


def _is_index(part: str) -> bool:
    return part == "-1" or (part.isascii() and part.isdecimal())


def _index(part: str, node: Any) -> int | None:
    """Read a part as a place in a list. `-1` is the one after its last."""
    if not isinstance(node, list) or not _is_index(part):
        return None
    return len(node) if part == "-1" else int(part[:9])


def _name(part: str) -> str:
    """Read a part as a key. After a colon, digits are not an index."""
    return _ESCAPED.sub(r"\1", part.removeprefix(":"))


def _at(node: Any, part: str, index: int | None) -> Any:
    if index is None:
        return node.get(_name(part))
    return node[index] if index < len(node) else None


def _put(node: Any, part: str, index: int | None, value: Any) -> bool:
    if index is None:
        node[_name(part)] = value
        return True
    if index >= _LONGEST_LIST:
        return False
    node.extend([None] * (index + 1 - len(node)))
    node[index] = value
    return True
