"""`plugins` and `schema`: which destinations there are, and what each can be told."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from destination_router.plugins import Broken, LoadedPlugin, load_plugin, survey_plugins
from destination_router.surfaces import field_tables
from destination_router.surfaces.options import AsJson
from destination_router.surfaces.showing import print_json
from destination_router.surfaces.telling import out, print_line, problems_told, talk


def plugins(as_json: AsJson = False) -> None:
    """List the installed destinations and what each can do.

    Those that are broken too, with the reason.

    Example: destination-router plugins
    """
    found = survey_plugins()
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


def schema(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="The destination.")],
    fields: Annotated[
        bool, typer.Option("--fields", help="Print the fields that a mapping may override.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a destination's settings, or the fields to map.

    The settings are JSON Schema; the fields, a table in Markdown, or JSON.

    Example: destination-router schema heap
    """
    with problems_told():
        loaded = load_plugin(plugin)
        if not fields:
            print_json(out, loaded.hook.settings_schema())
        elif as_json:
            print_line(field_tables.as_json(field_tables.fields_of(loaded)))
        else:
            out.print(field_tables.as_markdown(field_tables.fields_of(loaded)), markup=False)


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
