"""`simulate`: serve a destination's stand-in for its vendor."""

from __future__ import annotations

from typing import Annotated

import typer

from destination_router.commands.options import Listen, Pairs, SettingsFile, read_address
from destination_router.commands.output import out, problems_told
from destination_router.demo.stage import vendor_of
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import sample_connection
from destination_router.service.event_loop import run_in_loop
from destination_router.service.serving import serving
from destination_router.service.signals import told_to_stop


def simulate(
    plugin: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="The destination whose vendor is simulated.")
    ],
    listen: Listen = "127.0.0.1:9100",
    settings: SettingsFile = None,
    pairs: Pairs = None,
) -> None:
    """Serve a simulated vendor, until Ctrl-C.

    To send to it, use --origin, or origins in a router.toml. /_simulator shows what it holds.
    Settings that you leave out are the schema's examples.

    Example: destination-router simulate heap
    """
    with problems_told():
        host, port = read_address(listen)
        connection = sample_connection(plugin, settings, pairs or [])
        run_in_loop(_serve(connection, host, port))


async def _serve(connection: Connection, host: str, port: int) -> None:
    told = told_to_stop()
    async with serving(vendor_of(connection), host, port) as url:
        out.print(f"Simulated {connection.plugin.name} on {url}")
        out.file.flush()  # whoever started it waits for the line
        await told.wait()
