"""Writes values as JavaScript does, for requests that must equal those of systems written in it.

Sources: ECMA-262, `Number::toString`, `JSON.stringify`, `OrdinaryOwnPropertyKeys`. As with
`JSON.parse`, a number of a message is a 64-bit float.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from destination_router.contract.records import Json

_EXACT = 1 << 53
_INDICES = (1 << 32) - 1

_V = TypeVar("_V")


def number_text(number: float) -> str:
    """Write a number as `String(number)` does: `1.0` is `1`, `1e21` is `1e+21`, `-0.0` is `0`.

    A whole number beyond 2^53 loses the digits that a 64-bit float cannot hold.
    """
    if isinstance(number, int):
        if -_EXACT <= number <= _EXACT:
            return str(int(number))
        try:
            number = float(number)
        except OverflowError:
            return "Infinity" if number > 0 else "-Infinity"
    if math.isfinite(number):
        return _finite_text(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def json_text(value: Json, *, all_digits: bool = False) -> str:
    """Write a JSON value as `JSON.stringify` does.

    Args:
        value: the value. Parts that are not JSON become null.
        all_digits: keep the digits of whole numbers beyond 2^53.
    """

    def write(value: Json) -> str:
        match value:
            case None | bool() | str():
                return json.dumps(value, ensure_ascii=False)
            case int() if all_digits:
                return str(value)
            case float() if all_digits and math.isfinite(value) and abs(value) > _EXACT:
                return repr(value)  # JavaScript's digits, read as a whole number, would differ
            case int() | float():
                written = number_text(value)
                return written if written[-1].isdigit() else "null"
            case Mapping():
                pairs = in_order(value).items()
                return "{" + ",".join(f"{write(str(k))}:{write(v)}" for k, v in pairs) + "}"
            case list() | tuple():
                return "[" + ",".join(map(write, value)) + "]"
            case _:
                return "null"

    return write(value)


def text(value: Json) -> str:
    """Write a JSON value as `String(value)` does."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return number_text(value)
        case list() | tuple():
            return ",".join("" if item is None else text(item) for item in value)
        case _:
            return "[object Object]"


def in_order(pairs: Mapping[str, _V]) -> Mapping[str, _V]:
    """Put the members of an object in the order in which JavaScript enumerates them.

    Keys that are array indices (`0` to `4294967294`, without leading zeros) come first, the
    smallest first. The others follow in their own order.
    """
    indices = [key for key in pairs if _is_index(key)]
    if not indices:
        return pairs
    first = {key: pairs[key] for key in sorted(indices, key=int)}
    return {**first, **pairs}


def _is_index(key: str) -> bool:
    if not key.isascii() or not key.isdigit() or len(key) > len(str(_INDICES)):
        return False
    return (key == "0" or not key.startswith("0")) and int(key) < _INDICES


def _finite_text(number: float) -> str:
    if number == 0:
        return "0"
    sign, digit_tuple, exponent = Decimal(repr(number)).normalize().as_tuple()
    digits = "".join(map(str, digit_tuple))
    minus = "-" if sign else ""
    point = len(digits) + int(exponent)  # where the decimal point stands among the digits
    if len(digits) <= point <= 21:  # noqa: PLR2004 -- the bounds are JavaScript's
        return f"{minus}{digits}{'0' * (point - len(digits))}"
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"
