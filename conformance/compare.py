"""Type-aware comparison: `1`, `1.0`, `"1"` and `true` all differ, and the path says where.

The order of keys in an object does not count. The order of a list does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

_SHOWN = 120


class _Nothing:
    """Marks a missing value. null is not missing."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()


class Difference(msgspec.Struct, frozen=True):
    """One place where two values differ; `got` and `expected` are written as JSON."""

    path: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path or 'result'}: got {self.got}, expected {self.expected}"


def differences(got: Any, expected: Any, path: str = "") -> Iterator[Difference]:
    """Find every place where two JSON values differ, in the order of what was expected.

    Args:
        got: the value at hand; `NOTHING` where there is none.
        expected: what it should be; `NOTHING` where nothing should be.
        path: where the values stand, for the result.
    """
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        for key in (*expected, *(key for key in got if key not in expected)):
            yield from differences(
                got.get(key, NOTHING), expected.get(key, NOTHING), _join(path, key)
            )
    elif _is_list(got) and _is_list(expected):
        for index in range(max(len(got), len(expected))):
            yield from differences(_item(got, index), _item(expected, index), _join(path, index))
    elif not same(got, expected):
        yield Difference(path, *_shown_pair(got, expected))


def same(got: Any, expected: Any) -> bool:
    """Say whether two JSON scalars are the same value of the same type."""
    return type(got) is type(expected) and bool(got == expected)


def shown(value: Any) -> str:
    """Write a value as JSON. Cut a long one, and say how long it is."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, str) and len(value) > _SHOWN:
        return f'{_json(value[: _SHOWN // 2])[:-1]}…" ({len(value)} characters)'
    text = _json(value)
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN]}…"


def _shown_pair(got: Any, expected: Any) -> tuple[str, str]:
    one, other = shown(got), shown(expected)
    if one != other:
        return one, other
    # Long texts that begin alike: show where they part.
    start = max(_first_difference(str(got), str(expected)) - _SHOWN // 4, 0)
    return tuple(
        f"…{_json(str(value)[start : start + _SHOWN])} from character {start}"
        for value in (got, expected)
    )  # type: ignore[return-value]


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _item(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else NOTHING


def _join(path: str, part: object) -> str:
    return f"{path}.{part}" if path else str(part)
