"""`@liquid`, with the library python-liquid (the extra `liquid`) and Segment's restrictions.

Segment's limits (`segmentio/action-destinations`, mapping-kit/liquid-directive.ts): 1000
characters; no tags that loop or include; no filters over lists. This module also limits the memory
that a template could use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any

from destination_router.contract.records import Reject

CHARACTERS = 1000
OFF_TAGS = ("case", "for", "include", "layout", "render", "tablerow")
OFF_FILTERS = (
    "concat",
    "find",
    "find_index",
    "has",
    "map",
    "newline_to_br",
    "reject",
    "reverse",
    "sort",
    "sort_natural",
    "uniq",
)
_OUTPUT_BYTES = 1_000_000
"""The most characters of a template, a filter's value or a variable."""

_MULTIPLYING = frozenset({"join", "replace", "replace_first", "replace_last"})
"""Filters whose value may be longer than all their input."""

_PARSING = frozenset({"date", "strip_html"})
"""Filters that parse text, in time that may grow faster than its length."""

_LONGEST_PARSED = 10_000
_LONGEST_FORMAT = 200
_MOST_DIGITS = 100
"""More digits than any number has after its point."""

_TOO_LARGE = "template_too_large"


def compile_template(template: str) -> Callable[[Mapping[str, Any]], str | None]:
    """Compile a template to a function from a message's object to text; None if it fails.

    The function raises `Reject` if a message makes it exceed its bounds.

    Raises:
        ValueError: it is too long, invalid, or uses a forbidden feature; or the extra is missing.
    """
    if len(template) > CHARACTERS:
        raise ValueError(f"has {len(template)} characters; at most {CHARACTERS} are allowed")
    try:
        from liquid.exceptions import LiquidError, ResourceLimitError  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ValueError("needs python-liquid: pip install 'heap-destination[liquid]'") from None
    try:
        parsed = _environment().from_string(template)
        _bound_ranges(parsed)
    except LiquidError as error:
        raise ValueError(f"is no Liquid template: {error.message}") from None

    def render(values: Mapping[str, Any]) -> str | None:
        try:
            return str(parsed.render(**values))
        except (ResourceLimitError, MemoryError):
            detail = f"its template may hold {_OUTPUT_BYTES} characters and {CHARACTERS} rounds"
            raise Reject(_TOO_LARGE, detail) from None
        except (LiquidError, ArithmeticError, TypeError, ValueError, RecursionError):
            return None

    return render


@cache
def _environment() -> Any:
    import liquid  # noqa: PLC0415 -- an extra

    class Restricted(liquid.Environment):
        output_stream_limit = _OUTPUT_BYTES
        local_namespace_limit = _OUTPUT_BYTES
        context_depth_limit = 30
        loop_iteration_limit = CHARACTERS

    environment = Restricted()
    for tag in OFF_TAGS:
        environment.tags.pop(tag, None)
    for name in OFF_FILTERS:
        environment.filters.pop(name, None)
    for name, filter_ in environment.filters.items():
        environment.filters[name] = _bounded(name, filter_)
    return environment


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Check the bounds of a filter's input before it runs, and of its value."""
    from liquid.exceptions import ResourceLimitError  # noqa: PLC0415 -- an extra

    @wraps(filter_)  # with the marks by which the library passes a context
    def bounded(left: Any, *arguments: Any, **named: Any) -> Any:
        given = (left, *arguments, *named.values())
        if _size(given) > _OUTPUT_BYTES or _most(name, left, arguments) > _OUTPUT_BYTES:
            raise ResourceLimitError(f"{name} would exceed {_OUTPUT_BYTES}", token=None)
        value = filter_(left, *arguments, **named)
        if _size((value,)) > _OUTPUT_BYTES:
            raise ResourceLimitError(f"{name} exceeds {_OUTPUT_BYTES}", token=None)
        return value

    return bounded


def _size(values: tuple[Any, ...]) -> int:
    return sum(map(_characters, _leaves(values)))


def _leaves(values: tuple[Any, ...]) -> Iterator[Any]:
    """List values and the items of lists. No filter here multiplies deeper values."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, range):  # written out, a number has up to ten digits
        return 10 * len(value) if len(value) <= CHARACTERS else _OUTPUT_BYTES + 1
    return 1


def _most(name: str, left: Any, arguments: tuple[Any, ...]) -> int:
    """Estimate the longest value of a filter. Beyond the bound, the filter is refused."""
    if name in _PARSING and _characters(left) > _LONGEST_PARSED:
        return _OUTPUT_BYTES + 1
    if name == "round":
        return _OUTPUT_BYTES + 1 if arguments and _are_many(arguments[0]) else 0
    if name == "date":
        long = arguments and len(str(arguments[0])) > _LONGEST_FORMAT
        return _OUTPUT_BYTES + 1 if long or _is_padded(arguments) else 0
    if name not in _MULTIPLYING:
        return 0
    if name == "join":
        separator = len(str(arguments[0])) if arguments else 1
        return _items(left) * (separator + 1)
    text, old = str(left), str(arguments[0]) if arguments else ""
    new = len(str(arguments[1])) if len(arguments) > 1 else 0
    times = text.count(old) if name == "replace" else 1
    return len(text) + times * new


def _items(left: Any) -> int:
    """Count the items that `join` would write. It flattens lists, and splits text into letters."""
    count, pending = 0, [left]
    while pending and count <= _OUTPUT_BYTES:
        value = pending.pop()
        if isinstance(value, (list, tuple)):
            pending.extend(value)
        else:
            count += len(value) if isinstance(value, (str, range)) else 1
    return count


def _is_padded(arguments: tuple[Any, ...]) -> bool:
    """Tell whether a date format has a width, with which C libraries could fill memory."""
    text = str(arguments[0]) if arguments else ""
    return any(part[:1].isdigit() or part[1:2].isdigit() for part in text.split("%")[1:])


def _are_many(digits: Any) -> bool:
    """Tell whether the number of digits is so large that the power of ten would fill memory."""
    try:
        return abs(float(digits)) > _MOST_DIGITS
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False


def _bound_ranges(template: Any) -> None:
    """Bound each range in a template, such as `(1..n)`, as a loop is bounded."""
    from liquid.builtin.expressions.primitive import RangeLiteral  # noqa: PLC0415 -- an extra
    from liquid.exceptions import LoopIterationLimitError  # noqa: PLC0415 -- an extra

    class Bounded(RangeLiteral):
        __slots__ = ()

        def _make_range(self, start: Any, stop: Any) -> range:
            made = super()._make_range(start, stop)
            if made.stop - made.start > CHARACTERS:
                raise LoopIterationLimitError("the range is too long", token=None)
            return made

    for part in _parts(template.nodes, set()):
        if type(part) is RangeLiteral:
            part.__class__ = Bounded


def _parts(value: Any, seen: set[int]) -> Iterator[Any]:
    """List all nodes of a parsed template."""
    if id(value) in seen or isinstance(value, (str, int, float, type(None))):
        return
    seen.add(id(value))
    if isinstance(value, (list, tuple)):
        items: list[Any] = list(value)
    elif isinstance(value, dict):
        items = list(value.values())
    elif type(value).__module__.startswith("liquid."):
        yield value
        slots = [slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ())]
        items = [getattr(value, slot, None) for slot in slots]
        items += getattr(value, "__dict__", {}).values()
    else:
        return
    for item in items:
        yield from _parts(item, seen)
