"""A command that refuses an option given twice, unless it may be repeated, and whose help wraps.

typer would silently take the last one, and ignore the other.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from typer.core import TyperCommand

_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
"""One within a paragraph."""


class OnceCommand(TyperCommand):
    """A command whose options, except lists, may be given once at most."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, and refuse a repeated option."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(given).items():
            if times > 1 and parameter.param_type_name == "option" and not parameter.multiple:
                ctx.fail(f"{parameter.opts[0]} is given {times} times; give it once")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, each paragraph cut where the terminal ends, not where the source was."""
        as_written = self.help
        self.help = _LINE_BREAK.sub(" ", as_written) if as_written else None
        try:
            super().format_help(ctx, formatter)
        finally:
            self.help = as_written
