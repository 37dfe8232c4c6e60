"""`transformer`: serve RudderStack's transformer protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from destination_router.commands.options import Listen, read_address
from destination_router.commands.output import problems_told
from destination_router.transformer.server import TransformerOptions, serve_transformer


def transformer(
    listen: Listen = "127.0.0.1:9090",
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A router.toml with origins and connections to apply."),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            "--upstream",
            metavar="URL",
            help="Another transformer, which answers for all other destinations.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="How many processes answer.")
    ] = 1,
) -> None:
    """Serve RudderStack's transformer protocol to a rudder-server.

    Set its DEST_TRANSFORM_URL to the address that this prints.

    Example: destination-router transformer --config router.toml
    """
    with problems_told():
        host, port = read_address(listen)
        options = TransformerOptions(config=config, upstream=upstream)
        serve_transformer(options, host, port, workers=workers)
