"""The rules for properties: objects of numbers and strings, and what each endpoint makes of others.

Each check takes the object and its path and returns what Heap keeps of it, or raises
`BodyError`. Nested objects, booleans and nulls are not documented, so they are refused.
"""

import re
from typing import Any

from heap_destination.simulator import limits
from heap_destination.simulator.checks import BodyError, as_object
from heap_destination.simulator.numerals import number_text

_MOST = limits.PROPERTY_TEXT.value
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
# A whole number with more bits than this is Infinity to a reader that knows only doubles.
_FINITE_BITS = 1023


def of_event(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but an object of numbers, strings and arrays of these; join the arrays.

    Heap joins an array into one string with `||` and cuts it at 1024 characters (track-1).
    """
    properties = as_object(value, path)
    joined = {}
    for key, leaf in properties.items():
        if type(leaf) is list:
            _require_key(key, path)
            joined[key] = _join(leaf, key, path)
        elif not _fits(key, leaf):
            raise _error(key, leaf, path, "should be number,string")
    return {**properties, **joined} if joined else properties


def of_account(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but an object of numbers and strings."""
    properties = as_object(value, path)
    for key, leaf in properties.items():
        if not _fits(key, leaf):
            raise _error(key, leaf, path, "should be number,string")
    return properties


def of_user(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but an object of numbers and strings, and any reserved name."""
    properties = of_account(value, path)
    for key in properties:
        _require_user_property_name(key, path)
    return properties


def of_partner_event(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but an object of strings (observed)."""
    properties = as_object(value, path)
    for key, leaf in properties.items():
        if type(leaf) is not str or not _fits(key, leaf):
            raise _error(key, leaf, path, "should be string")
    return properties


def of_partner_user(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but an object of strings, numbers, booleans and nulls (observed)."""
    properties = as_object(value, path)
    for key, leaf in properties.items():
        _require_user_property_name(key, path)
        if leaf is None or type(leaf) is bool:
            _require_key(key, path)
        elif not _fits(key, leaf):
            raise _error(key, leaf, path, "should be string,number,boolean,null")
    return properties


def _fits(key: str, leaf: object) -> bool:
    """Whether this is a number or a string, and within the lengths."""
    # One call for each of a thousand events' properties: the reason is found only on refusal.
    if type(leaf) is str:
        return len(leaf) <= _MOST and len(key) <= _MOST
    return _is_number(leaf) and len(key) <= _MOST


def _error(key: str, leaf: object, path: str, kinds: str) -> BodyError:
    """Say why a property does not fit: its key, else its length, else its kind."""
    _require_key(key, path)
    if type(leaf) is str and len(leaf) > _MOST:
        return BodyError(_child(path, key), f"should NOT be longer than {_MOST} characters")
    return BodyError(_child(path, key), kinds)


def _require_key(key: str, path: str) -> None:
    if len(key) > _MOST:
        raise BodyError(path, f"should NOT have a key longer than {_MOST} characters")


def _require_user_property_name(key: str, path: str) -> None:
    if key == limits.RESERVED_NAME or key.lower() == limits.RESERVED_NAME_IN_ANY_CASING:
        raise BodyError(_child(path, key), "should NOT be the name of a user property")


def _is_number(leaf: object) -> bool:
    # By exact type, because a bool is an int to isinstance.
    return type(leaf) is float or (type(leaf) is int and leaf.bit_length() <= _FINITE_BITS)


def _join(items: list[Any], key: str, path: str) -> str:
    texts = []
    for index, item in enumerate(items):
        if type(item) is str:
            texts.append(item)
        elif _is_number(item):
            texts.append(number_text(item))
        else:
            raise BodyError(f"{_child(path, key)}[{index}]", "should be number,string")
    return "||".join(texts)[: limits.JOINED_ARRAY.value]


def _child(path: str, key: str) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}['{key}']"
