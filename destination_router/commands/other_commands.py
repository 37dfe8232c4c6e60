"""Commands that other distributions add. Each is loaded when somebody types it.

Loading all of them at every start would cost a server memory that it never uses.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from destination_router.commands.once import OnceCommand
from destination_router.commands.output import interruption_told

COMMANDS = "destination_router.commands"
"""The entry-point group; a name is the command's, and stands for a function that typer can read."""

_HEADING = "From what is installed beside it"


class WithOtherCommands(TyperGroup):
    """A group of commands that knows those of the entry-point group, too."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name our own commands first."""
        return [*super().list_commands(ctx), *sorted(_others())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; ours come before others of the same name."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in _others():
            return own
        alone = typer.Typer(add_completion=False)
        make = alone.command(cmd_name, cls=OnceCommand, rich_help_panel=_HEADING)
        make(_others()[cmd_name].load())
        return typer.main.get_command(alone)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; Ctrl-C ends it as it ends every command."""
        with interruption_told():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; one that says nothing of Ctrl-C itself ends as all others do."""
        with interruption_told():
            return super().invoke(ctx)


def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=COMMANDS)}
