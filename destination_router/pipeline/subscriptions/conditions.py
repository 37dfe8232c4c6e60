"""Conditions on messages: FQL that is compiled separately for each of the six calls.

A condition about the type alone costs one look-up. Subscriptions and the `when` of transformations
use them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from destination_router.contract.messages import MESSAGE_TYPES, Message
from destination_router.contract.records import Reject
from destination_router.pipeline.globs import compile_globs
from destination_router.pipeline.paths import UNDEFINED, reader
from destination_router.pipeline.subscriptions import fql

Holds: TypeAlias = Callable[[Message], bool]


class Condition:
    """A compiled condition on messages. Calling it never raises.

    Args:
        by_type: for each of the six calls what holds of a message, or of all of them.
    """

    def __init__(self, by_type: Mapping[type[Message], bool | Holds]) -> None:
        self._by_type = by_type

    def __call__(self, message: Message) -> bool:
        """Tell whether it holds for a message."""
        verdict = self._by_type[type(message)]
        return verdict if isinstance(verdict, bool) else verdict(message)

    def verdict(self, kind: type[Message]) -> bool | None:
        """Return the result for every message of a call; None if it depends on the message."""
        verdict = self._by_type[kind]
        return verdict if isinstance(verdict, bool) else None


def compile_condition(text: str) -> Condition:
    """Compile FQL.

    Raises:
        FqlError: with the position of what is wrong.
    """
    condition = fql.parse(text)
    return Condition({kind: _compiled(condition, name) for name, kind in MESSAGE_TYPES.items()})


def possible_calls(text: str) -> frozenset[str]:
    """List the calls that a subscription can take at all.

    Raises:
        FqlError: with the position of what is wrong.
    """
    condition = fql.parse(text)
    return frozenset(kind for kind in MESSAGE_TYPES if _compiled(condition, kind) is not False)


def _compiled(condition: fql.Expression, kind: str) -> bool | Holds:
    """Compile a condition for one call: true or false if the call alone decides."""
    match condition:
        case fql.Combination():
            return _group(condition, kind)
        case fql.Comparison(field=field):
            holds = _comparison(condition)
        case fql.Test(field=field):
            holds = _test(condition)
    if field == ("type",):
        return holds(kind)
    read = reader(field)

    def decide(message: Message) -> bool:
        try:
            return holds(read(message))
        except Reject:  # a part that cannot be decoded is as good as absent
            return holds(None)

    return decide


def _group(group: fql.Combination, kind: str) -> bool | Holds:
    decisive = group.operator == "or"  # the verdict of one part that decides for all
    open_parts: list[Holds] = []
    for part in group.parts:
        verdict = _compiled(part, kind)
        if not isinstance(verdict, bool):
            open_parts.append(verdict)
        elif verdict is decisive:
            return decisive
    if not open_parts:
        return not decisive
    if len(open_parts) == 1:
        return open_parts[0]
    every = any if decisive else all
    return lambda message: every(holds(message) for holds in open_parts)


def _comparison(comparison: fql.Comparison) -> Callable[[Any], bool]:
    value = comparison.value
    equal = comparison.operator == "="
    if isinstance(value, str):
        return lambda found: (isinstance(found, str) and found == value) is equal
    if isinstance(value, bool):
        return lambda found: (found is value) is equal
    if value is None:
        return lambda found: _is_absent(found) is equal
    compare = _OPERATORS[comparison.operator]
    return lambda found: (
        isinstance(found, (int, float)) and not isinstance(found, bool) and compare(found, value)
    )


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _is_absent(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _test(test: fql.Test) -> Callable[[Any], bool]:
    text, wanted = test.text, not test.negated
    if test.function == "contains":
        return lambda found: isinstance(found, str) and (text in found) is wanted
    matches = compile_globs([text])
    return lambda found: isinstance(found, str) and matches(found) is wanted
