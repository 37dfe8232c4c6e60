"""`@liquid`, through the library python-liquid (the extra `liquid`), restricted as Segment does.

Segment's limits (`segmentio/action-destinations`, mapping-kit/liquid-directive.ts): 1000
characters; no tags that loop or include; no filters over lists. What a template could still do to
a host's memory is limited here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

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


def compile_template(template: str) -> Callable[[Mapping[str, Any]], str | None]:
    """Compile a template to a function from a message's object to text; None where it fails.

    Raises:
        ValueError: it is too long, is no Liquid, or uses what is off; or the extra is missing.
    """
    if len(template) > CHARACTERS:
        raise ValueError(f"has {len(template)} characters; at most {CHARACTERS} are allowed")
    try:
        from liquid.exceptions import LiquidError  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ValueError("needs python-liquid: pip install 'heap-destination[liquid]'") from None
    try:
        parsed = _environment().from_string(template)
    except LiquidError as error:
        raise ValueError(f"is no Liquid template: {error.message}") from None

    def render(values: Mapping[str, Any]) -> str | None:
        try:
            return str(parsed.render(**values))
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
    return environment
