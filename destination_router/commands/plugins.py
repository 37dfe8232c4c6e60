"""`plugins`: list destinations and what each can do."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from destination_router.commands.options import AsJson
from destination_router.commands.output import out, print_line, problems_told, talk
from destination_router.faults import UsageError
from destination_router.plugins.loading import Broken, LoadedPlugin, PluginError, survey_plugins
from destination_router.programs.destination import ProgramHooks, load_program


def plugins(
    as_json: AsJson = False,
    command: Annotated[
        str | None,
        typer.Option(
            "--command",
            metavar="COMMAND",
            help="Show the program that this command starts, in place of installed destinations.",
        ),
    ] = None,
) -> None:
    """List the installed destinations and what each can do.

    It also lists those that are broken, with the reason.

    Example: destination-router plugins
    """
    with problems_told():
        found = survey_plugins() if command is None else [_program(command)]
    if as_json:
        print_line([_as_json(plugin) for plugin in found])
        return
    if not found:
        talk.print("No destination is installed. Try: pip install heap-destination")
    for plugin in found:
        match plugin:
            case LoadedPlugin():
                out.print(f"[bold]{plugin.name}[/]  {plugin.origin}")
                out.print(f"  {', '.join(plugin.capabilities)}")
            case Broken():
                out.print(f"[bold]{plugin.name}[/]  [red]broken[/]")
                out.print(f"  {plugin.error}", markup=False)


def _program(command: str) -> LoadedPlugin | Broken:
    """Start a program, ask for its introduction, and end it."""
    try:
        parts = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command: {error}") from None
    if not parts:
        raise UsageError("--command names no program")
    try:
        plugin = load_program(parts)
    except PluginError as error:
        return Broken(name=command, origin="", error=str(error))
    if isinstance(plugin.elsewhere, ProgramHooks):
        plugin.elsewhere.program.stop()
    return plugin


def _as_json(plugin: LoadedPlugin | Broken) -> dict[str, Any]:
    match plugin:
        case LoadedPlugin():
            return {
                "name": plugin.name,
                "origin": plugin.origin,
                "capabilities": list(plugin.capabilities),
                "error": None,
            }
        case Broken():
            return {
                "name": plugin.name,
                "origin": plugin.origin,
                "capabilities": [],
                "error": plugin.error,
            }
