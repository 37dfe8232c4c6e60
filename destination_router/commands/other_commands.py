"""Finds the command that somebody types: our own, or one that another distribution adds.

Each is loaded when somebody types it, or asks for help. Loading all of them at every start would
cost a server memory that it never uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperGroup

from destination_router.commands.once import OnceCommand
from destination_router.commands.output import interruption_told
from destination_router.commands.plain_values import read_plainly

COMMANDS = "destination_router.commands"
"""The entry-point group; a name is the command's, and stands for a function that typer can read."""

_HEADING = "From what is installed beside it"


class WithOtherCommands(TyperGroup):
    """A group of commands that knows those of the entry-point group, too.

    Attributes:
        own: our own, by heading and name: the module of each within `destination_router.commands`
            and, behind a colon, its name there.
    """

    own: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        known = cast("dict[str, Any]", self.commands)  # typer suggests names that are similar
        for commands in self.own.values():
            known.update(dict.fromkeys(commands))

    def list_commands(self, ctx: Any) -> list[str]:
        """Name our own commands first."""
        return [*super().list_commands(ctx), *sorted(_others())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; ours come before others of the same name."""
        found: Any = super().get_command(ctx, cmd_name) or self._load(cmd_name)
        if found is not None:
            self.commands[cmd_name] = found
        return found

    def _load(self, name: str) -> Any:
        for heading, commands in self.own.items():
            if name in commands:
                return _read(name, resolve_name(f"{__package__}.{commands[name]}"), heading)
        other = _others().get(name)
        return None if other is None else _read(name, other.load(), _HEADING)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options in front of the command."""
        read_plainly(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; Ctrl-C ends it as it ends every command."""
        with interruption_told():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; one that says nothing of Ctrl-C itself ends as all others do."""
        with interruption_told():
            return super().invoke(ctx)


def _read(name: str, what: Callable[..., Any] | typer.Typer, heading: str) -> Any:
    """Make a command of a function, or a group of one of typer's apps."""
    app = typer.Typer(add_completion=False)
    if isinstance(what, typer.Typer):
        app.add_typer(what, name=name, rich_help_panel=heading)
        return typer.main.get_group(app).commands[name]
    app.command(name, cls=OnceCommand, rich_help_panel=heading)(what)
    return typer.main.get_command(app)


def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=COMMANDS)}
