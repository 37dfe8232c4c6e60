"""`schema`: print a destination's settings, or the fields that a mapping may override."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.decision_output import print_json
from destination_router.commands.options import AsJson
from destination_router.commands.output import out, print_line, problems_told
from destination_router.contract.records import Field
from destination_router.plugins.loading import LoadedPlugin, load_plugin

_COLUMNS = ("Name", "Type", "Description", "Required", "Default")


def schema(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="The destination.")],
    fields: Annotated[
        bool, typer.Option("--fields", help="Print the fields that a mapping may override.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a destination's settings, or the fields to map.

    The settings are JSON Schema. The fields are a table in Markdown, or JSON.

    Example: destination-router schema heap
    """
    with problems_told():
        loaded = load_plugin(plugin)
        if not fields:
            print_json(out.console, loaded.hook.settings_schema())
        elif as_json:
            print_line(fields_as_json(fields_of(loaded)))
        else:
            out.print(fields_as_markdown(fields_of(loaded)), markup=False)


def fields_of(plugin: LoadedPlugin) -> dict[str, list[Field]]:
    """List the fields that mappings may override; nothing if the plugin does not say."""
    if "fields" not in plugin.capabilities:
        return {}
    fields: dict[str, list[Field]] = plugin.hook.fields()
    return fields


def fields_as_json(fields: Mapping[str, Sequence[Field]]) -> dict[str, list[dict[str, Any]]]:
    """Write the fields as data: name, type, description, required, default."""
    return {
        call: [
            {
                "name": field.name,
                "type": field.type,
                "description": field.description,
                "required": field.required,
                "default": field.default,
            }
            for field in own
        ]
        for call, own in fields.items()
    }


def fields_as_markdown(fields: Mapping[str, Sequence[Field]]) -> str:
    """Draw one table for each call."""
    parts = []
    for call, own in fields.items():
        rows = [f"**{call}**", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
        rows += [_row(_cells(field)) for field in own]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _cells(field: Field) -> list[str]:
    default = msgspec.json.encode(field.default).decode() if field.default is not None else ""
    return [
        f"`{field.name}`",
        field.type,
        field.description.replace("|", r"\|"),
        "yes" if field.required else "",
        f"`{default}`" if default else "",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
