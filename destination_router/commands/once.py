"""A command that refuses an option given twice, unless it may be repeated, and whose help wraps.

typer would silently take the last one, and ignore the other. Of an argument that is missing it says
what it is, and gives the command's example.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

from destination_router.commands.plain_values import read_plainly

_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
"""One within a paragraph."""

_EXAMPLE = re.compile(r"^\s*Example: (.+)$", re.MULTILINE)
_OF_PYDANTIC = "Value error, "


class OnceCommand(TyperCommand):
    """A command whose options, except lists, may be given once at most."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, and refuse a repeated option."""
        read_plainly(self.get_params(ctx))
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(given).items():
            if times > 1 and parameter.param_type_name == "option" and not parameter.multiple:
                ctx.fail(f"{parameter.opts[0]} is given {times} times; give it once")
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            error.message = error.message.removeprefix(_OF_PYDANTIC) or self._what_is_missing(error)
            raise

    def _what_is_missing(self, error: BadParameter) -> str:
        about = getattr(error.param, "help", None) or ""
        example = _EXAMPLE.search(self.help or "")
        return f"{about} For example: {example[1]}".strip() if example else about

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, each paragraph cut where the terminal ends, not where the source was."""
        as_written = self.help
        self.help = _LINE_BREAK.sub(" ", as_written) if as_written else None
        try:
            super().format_help(ctx, formatter)
        finally:
            self.help = as_written
