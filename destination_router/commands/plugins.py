"""`plugins`: which destinations there are, and what each can do."""

from __future__ import annotations

from typing import Any

from destination_router.commands.options import AsJson
from destination_router.commands.output import out, print_line, talk
from destination_router.plugins.loading import Broken, LoadedPlugin, survey_plugins


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
