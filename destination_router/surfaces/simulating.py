"""`simulate`: a destination's stand-in for its vendor, on a port of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from destination_router.pipeline.connection import Connection
from destination_router.surfaces.choosing import read_address, sample_connection
from destination_router.surfaces.demo import vendor_of
from destination_router.surfaces.serving import serving, told_to_stop
from destination_router.surfaces.telling import out, problems_told


def simulate(
    plugin: Annotated[str, typer.Argument(help="The destination whose vendor it stands in for.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Port 0 takes any free one.")
    ] = "127.0.0.1:9100",
    settings: Annotated[
        Path | None, typer.Option("--settings", help="A file of settings, JSON or TOML.")
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting.")
    ] = None,
) -> None:
    """Serve a simulated vendor until Ctrl-C; send to it by `origins` or --origin.

    What it holds stands under /_simulator. Settings that are left out are the schema's examples.
    """
    with problems_told():
        host, port = read_address(listen)
        connection = sample_connection(plugin, settings, pairs or [])
        asyncio.run(_serve(connection, host, port))


async def _serve(connection: Connection, host: str, port: int) -> None:
    told = told_to_stop()
    async with serving(vendor_of(connection), host, port) as url:
        out.print(f"Simulated {connection.plugin.name} on {url}")
        out.file.flush()  # whoever started it waits for the line
        await told.wait()
