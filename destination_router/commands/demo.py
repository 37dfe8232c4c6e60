"""`demo`: what an SDK sends, what the router makes of it and what the vendor then holds, told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from destination_router.commands.decision_output import delivery_json, print_delivery, print_json
from destination_router.commands.options import AsJson, Pairs, SettingsFile
from destination_router.commands.output import FAILED, out, print_line, problems_told, talk
from destination_router.delivery.worker import Delivery
from destination_router.demo.stage import WRITE_KEY, Stage, play, stage
from destination_router.demo.traffic import require_sdk
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import sample_connection
from destination_router.service.signals import told_to_stop


def demo(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="The destination to show.")],
    settings: SettingsFile = None,
    pairs: Pairs = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, for your own SDK to send to.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send real SDK traffic to a simulated vendor, and explain it.

    All in one process, and nothing leaves the machine. Settings that are left out are the schema's
    examples. It needs RudderStack's SDK: pip install 'heap-destination[demo]'.

    Example: destination-router demo heap
    """
    with problems_told():
        require_sdk()
        shown = sample_connection(plugin, settings, pairs or [])
        raise typer.Exit(asyncio.run(_demo(shown, keep=keep, as_json=as_json)))


async def _demo(connection: Connection, *, keep: bool, as_json: bool) -> int:
    deliveries: list[Delivery] = []

    def report(window: Sequence[Delivery]) -> None:
        deliveries.extend(window)
        if not as_json:
            for delivery in window:
                print_delivery(out, delivery, connection)

    async with stage(connection, report) as running:
        if not as_json:
            _introduce(connection, running)
        held = await play(running)
        if as_json:
            deliveries.sort(key=lambda delivery: delivery.offset)
            messages = [delivery_json(delivery, connection) for delivery in deliveries]
            print_line({"messages": messages, "held": held})
        else:
            _print_held(connection, held)
        if keep:
            talk.print(f"Still running: write key {WRITE_KEY}, data plane {running.gateway_url}")
            talk.print(f"The vendor's stand-in: {running.vendor_url}/_simulator/requests")
            told = told_to_stop()
            talk.print("Ctrl-C ends it.")
            await told.wait()
    undelivered = [d for d in deliveries if d.outcome and d.outcome.result != "delivered"]
    return FAILED if undelivered or not deliveries else 0


def _introduce(connection: Connection, running: Stage) -> None:
    out.print(
        f"[bold]rudder-sdk-python[/] → gateway {running.gateway_url} → "
        f"[bold]{connection.plugin.name}[/] → simulated vendor {running.vendor_url}\n",
    )


def _print_held(connection: Connection, held: dict[str, list[Any]]) -> None:
    out.rule(f"What the simulated {connection.plugin.name} now holds")
    for kind, rows in held.items():
        out.print(f"[bold]{kind}[/]: {len(rows)}")
        for row in rows:
            print_json(out, _without_nulls(row))


def _without_nulls(row: Any) -> Any:
    if isinstance(row, dict):
        return {key: value for key, value in row.items() if value is not None}
    return row
