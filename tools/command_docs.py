"""The table of all commands, drawn from what `--help` says.

    python tools/command_docs.py docs/commands.md            write
    python tools/command_docs.py --check docs/commands.md    exit 1 if stale

A block between two comments is replaced:

    <!-- commands -->
    <!-- /commands -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from generated_docs import write_or_check
from typer.main import get_command

from destination_router.commands.cli import app

_BLOCK = re.compile(r"(?P<open><!-- commands -->\n).*?(?P<close><!-- /commands -->)", re.DOTALL)
_EXAMPLE = re.compile(r"^Example: (.*)$", re.MULTILINE)


def all_commands() -> dict[tuple[str, ...], Any]:
    """List every command that does something by its path, `("dead-letters", "list")`, as parsed."""
    return dict(_below(get_command(app)))


def purpose(command: Any) -> str:
    """Say what a command is for, in one line."""
    return str(command.help).split("\n\n", 1)[0]


def example(command: Any) -> str:
    """Show how a command is used: a whole command line."""
    found = _EXAMPLE.search(str(command.help))
    return "" if found is None else found[1]


def with_commands(document: str) -> str:
    """Give a document with its table of commands up to date."""
    rows = [
        f"| `{' '.join(path)}` | {purpose(command)} | `{example(command)}` |\n"
        for path, command in all_commands().items()
    ]
    table = f"| Command | | For example |\n|---|---|---|\n{''.join(rows)}"
    return _BLOCK.sub(lambda block: f"{block['open']}\n{table}\n{block['close']}", document)


def _below(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    with group.make_context(path[-1] if path else "destination-router", ["--"]) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if hasattr(command, "list_commands"):
                yield from _below(command, *path, name)
            else:
                yield (*path, name), command


if __name__ == "__main__":
    write_or_check("Draw the table of commands.", __file__, with_commands)
