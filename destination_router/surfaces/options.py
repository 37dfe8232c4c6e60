"""The options that several commands have: one name, one meaning and one help text for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CONNECTION_PANEL = "Which connection"
ROUTER_TOML = Path("router.toml")

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="A file of settings, JSON or TOML.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One setting; may be repeated.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A router.toml, in place of plugin and settings.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
ConnectionName = Annotated[
    str | None,
    typer.Option(
        "--connection",
        help="Which connection of the router.toml, if it has several.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="FROM=TO",
        help="Send a vendor's origin elsewhere, such as to a simulator; may be repeated. FROM and "
        "TO are https://host or http://host:port; a FROM of * is every other.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
RouterToml = Annotated[Path, typer.Option("--config", help="The router.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Listen = Annotated[
    str,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Where it answers; port 0 takes any free one."
    ),
]
