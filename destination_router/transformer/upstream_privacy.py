"""What may go upstream beside a connection in HIPAA mode: nothing that is for its destination.

Most of what carries events for a destination is ours by its path. `/customTransform` and `/batch`
are not, nor what a later transformer may add; they say in their bodies whose the events are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from destination_router.contract.records import Json, Reject

_TYPES = frozenset({"destType", "destinationType"})
"""Where rudder-server writes a destination's type: beside the events, and in their metadata."""
_DEFINITION = "DestinationDefinition"
_NAMES = ("Name", "DisplayName")
_WAY_OUT = "point USER_TRANSFORM_URL at the other transformer itself, or take --upstream away"


def refuse_private(path: str, body: bytes, private: Collection[str]) -> None:
    """Refuse a request that would take events of a destination in HIPAA mode upstream, unmasked.

    Args:
        path: the plain path.
        body: unpacked.
        private: types of destinations that have a connection in HIPAA mode, in lower case.

    Raises:
        Reject: `hipaa_mode`: it names one of these, or cannot be read.
    """
    if any(_is_one(part, private) for part in path.split("/")):
        raise _refused("the path names a destination")
    if not body:
        return
    try:
        content: Json = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _refused("what it holds cannot be read, and a destination is") from None
    if any(_is_one(name, private) for name in _types(content)):
        raise _refused("it holds events for a destination")


def _types(content: Json) -> Iterator[Json]:
    """Find every type of a destination, wherever it stands."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (value[name] for name in _TYPES & value.keys())
            definition = value.get(_DEFINITION)
            if isinstance(definition, dict):
                yield from (definition[name] for name in _NAMES if name in definition)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_one(name: Json, private: Collection[str]) -> bool:
    return isinstance(name, str) and name.strip().casefold() in private


def _refused(what: str) -> Reject:
    return Reject("hipaa_mode", f"{what} in HIPAA mode; nothing was passed on: {_WAY_OUT}")
