"""`@liquid`, through the library python-liquid (the extra `liquid`), restricted as Segment does.

Segment's limits (`segmentio/action-destinations`, mapping-kit/liquid-directive.ts): 1000
characters; no tags that loop or include; no filters over lists. What a template could still do to
a host is limited here as well: the library bounds what it writes and keeps, and what a filter is
given and gives is bounded before it runs, since most of a filter's work is a single call.
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
_SHORT_TEXT = 10_000
_SLOW_FILTERS = ("date", "strip_html")
"""They parse their text, in time that may grow faster than it."""
_DIGITS = 100
"""More are in no number that can be rounded to them."""


def compile_template(template: str, path: str = "") -> Callable[[Mapping[str, Any]], str | None]:
    """Compile a template to a function from a message's object to text; None where it fails.

    The function raises Reject (`too_large`) where a limit is exceeded.

    Args:
        template: Liquid.
        path: where it stands, for rejections.

    Raises:
        ValueError: it is too long, is no Liquid, or uses what is off; or the extra is missing.
    """
    if len(template) > CHARACTERS:
        raise ValueError(f"has {len(template)} characters; at most {CHARACTERS} are allowed")
    try:
        from liquid.exceptions import (  # noqa: PLC0415 -- an extra
            LiquidError,
            ResourceLimitError,
        )
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
            detail = "the template takes more memory or steps than one message may"
            raise Reject("too_large", detail, path) from None
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
    for name, function in environment.filters.items():
        environment.filters[name] = _bounded(name, function)
    return environment


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a filter refuse what would make it, or what it gives, too large."""
    from liquid.exceptions import OutputStreamLimitError  # noqa: PLC0415 -- an extra

    longest = _SHORT_TEXT if name in _SLOW_FILTERS else _OUTPUT_BYTES
    foreseen = _FORESEEN.get(name)

    @wraps(function)
    def call(*given: Any, **others: Any) -> Any:
        if any(_size(value) > longest for value in given) or (
            foreseen is not None and foreseen(*given) > _OUTPUT_BYTES
        ):
            raise OutputStreamLimitError(f"{name} is given too much", token=None)
        made = function(*given, **others)
        if _size(made) > _OUTPUT_BYTES:
            raise OutputStreamLimitError(f"{name} gives too much", token=None)
        return made

    return call


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _replaced_size(value: Any = "", old: Any = "", new: Any = "", *_: Any) -> int:
    text, part = str(value), str(old)
    return len(text) + text.count(part) * len(str(new))


def _joined_size(items: Any = (), separator: Any = " ", *_: Any) -> int:
    return _size(items) * len(str(separator)) + sum(map(_size, items if _size(items) else ()))


def _rounded_size(_: Any = 0, digits: Any = 0, *__: Any) -> int:
    """Count digits as far too many bytes where there are too many: a power of ten is made first."""
    try:
        return _OUTPUT_BYTES + 1 if abs(float(digits)) > _DIGITS else 0
    except (TypeError, ValueError, OverflowError):
        return _OUTPUT_BYTES + 1 if isinstance(digits, int) else 0


_FORESEEN: dict[str, Callable[..., int]] = {
    "replace": _replaced_size,
    "join": _joined_size,
    "round": _rounded_size,
}
"""What a filter would give, at most, as far as that may be more than what it is given."""


def _bound_ranges(template: Any) -> None:
    """Let each range in a template, such as `(1..n)`, end where a loop would have to."""
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
    """List everything that a parsed template is made of."""
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
