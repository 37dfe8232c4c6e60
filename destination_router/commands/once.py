"""A command that refuses an option given twice, unless it may be repeated.

typer would silently take the last one, and ignore the other.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """A command whose options, except lists, may be given once at most."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, and refuse a repeated option."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(given).items():
            if times > 1 and parameter.param_type_name == "option" and not parameter.multiple:
                ctx.fail(f"{parameter.opts[0]} is given {times} times; give it once")
        return super().parse_args(ctx, args)
