"""Compiles paths of the mapping and subscription languages to functions over typed messages.

A message is read as its sender wrote it. If an id should be text but is a number, it stays a
number, and does not equal that text. What its SDK wrote elsewhere is read from there: the name of
a screen, the traits of an identify. A path is `$.a.b[0].c`. Its leading `$.` is optional, and keys
may be in quotes. It is cut and followed as Segment does it (`segmentio/action-destinations`,
packages/core/src/get.ts): a path that goes on past null, false, 0 or empty text returns that value.
Past anything else that lacks the next part, it returns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from destination_router.contract.messages import MESSAGE_TYPES, Message

UNDEFINED: Final = msgspec.UNSET
"""The absence of a value, as opposed to null."""

Evaluate: TypeAlias = Callable[[Any], Any]
"""A compiled part of a mapping: a message, or a part of one, in; a JSON value or UNDEFINED out."""

_CUT = re.compile(r"""\[(?=["'\d])|\.|(?<=["'\d])\]+""")
_QUOTES = re.compile("[\"']")
_ATTRIBUTES = {
    field.encode_name: field.name
    for message_type in MESSAGE_TYPES.values()
    for field in msgspec.structs.fields(message_type)
    if field.encode_name != "context"
}
"""The fields at a message's root that some call defines: `userId` is `user_id`."""


def keys_of(path: str) -> tuple[str, ...]:
    """Cut a path into keys. The path of the whole message has none."""
    bare = "" if path == "$" else path.replace("$.", "", 1)
    return tuple(_QUOTES.sub("", part) for part in _CUT.split(bare) if part)


def of_value(path: str) -> Evaluate:
    """Compile a path that starts at any JSON value."""
    keys = keys_of(path)
    return lambda value: follow(value, keys)


def of_message(path: str) -> Evaluate:
    """Compile a path that starts at a typed message."""
    return reader(keys_of(path))


def reader(keys: Sequence[str]) -> Evaluate:
    """Compile the keys of a path that starts at a typed message."""
    match tuple(keys):
        case ():
            return everything
        case ("context", "traits", *rest) if rest:
            return lambda message: _in_context_traits(message, rest)
        case (first, *rest):
            root = _root(first)
            return (lambda message: follow(root(message), rest)) if rest else root
    raise AssertionError  # a tuple is empty or not


def follow(value: Any, keys: Sequence[str]) -> Any:
    """Follow keys into a JSON value."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, UNDEFINED)
        elif isinstance(value, list):
            within = key.isascii() and key.isdigit() and len(key) < len(str(1 << 53))
            value = value[int(key)] if within and int(key) < len(value) else UNDEFINED
        elif value is UNDEFINED or value:
            return UNDEFINED
    return value


def everything(message: Message) -> dict[str, Any]:
    """Return a whole message as the object that it came as, with the mended parts in place."""
    whole = dict(message.wire)
    whole["type"] = message.__struct_config__.tag
    for name, attribute in _ATTRIBUTES.items():
        value = getattr(message, attribute, None)
        if value or (value is not None and name in whole):
            whole[name] = value
    if "context" in whole or message.context:
        whole["context"] = message.context
    return whole


def _root(key: str) -> Evaluate:
    if key == "type":
        return lambda message: message.__struct_config__.tag
    if key == "context":
        return _context
    attribute = _ATTRIBUTES.get(key)
    if attribute is None:
        return lambda message: message.wire.get(key, UNDEFINED)

    def read(message: Message) -> Any:
        value = getattr(message, attribute, UNDEFINED)
        if value is UNDEFINED:  # another call's field
            return message.wire.get(key, UNDEFINED)
        if "_mended" in message.__dict__:
            sent = message.as_sent(key)
            if not value or not _is_blank(sent):  # if not, the value is elsewhere in the message
                value = sent
        # An empty field may be absent: only the wire can tell.
        return value if value or key in message.wire else UNDEFINED

    return read


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _context(message: Message) -> Any:
    context = message.context
    return context if context or "context" in message.wire else UNDEFINED


def _in_context_traits(message: Message, rest: Sequence[str]) -> Any:
    traits = message.context_traits
    return follow(traits, rest) if traits else follow(message.context, ("traits", *rest))
