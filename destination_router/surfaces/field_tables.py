"""The fields that a mapping may override, as tables: for `schema --fields`, and in the docs.

    python -m destination_router.surfaces.field_tables docs/mapping.md            write
    python -m destination_router.surfaces.field_tables --check docs/mapping.md    exit 1 if stale

A block between two comments is replaced:

    <!-- fields: my-destination -->
    <!-- /fields -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from destination_router.model import Field
from destination_router.plugins import LoadedPlugin, load_plugin
from destination_router.surfaces.generated_docs import write_or_check

_BLOCK = re.compile(
    r"(?P<open><!-- fields: (?P<plugin>\S+) -->\n).*?(?P<close><!-- /fields -->)", re.DOTALL
)
_COLUMNS = ("Name", "Type", "Description", "Required", "Default")


def fields_of(plugin: LoadedPlugin) -> dict[str, list[Field]]:
    """List what a plugin lets mappings override; nothing if it does not say."""
    if "fields" not in plugin.capabilities:
        return {}
    fields: dict[str, list[Field]] = plugin.hook.fields()
    return fields


def as_json(fields: Mapping[str, Sequence[Field]]) -> dict[str, list[dict[str, Any]]]:
    """Give the fields as data: name, type, description, required, default."""
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


def as_markdown(fields: Mapping[str, Sequence[Field]]) -> str:
    """Draw one table for each call."""
    parts = []
    for call, own in fields.items():
        rows = [f"**{call}**", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
        rows += [_row(_cells(field)) for field in own]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def with_tables(document: str) -> str:
    """Give a document with its tables up to date."""

    def table(block: re.Match[str]) -> str:
        drawn = as_markdown(fields_of(load_plugin(block["plugin"])))
        return f"{block['open']}\n{drawn}\n\n{block['close']}"

    return _BLOCK.sub(table, document)


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


if __name__ == "__main__":
    write_or_check("Draw the tables of fields in the docs.", __spec__.name, with_tables)
