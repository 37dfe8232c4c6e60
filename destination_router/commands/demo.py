"""`demo`: show what an SDK sends, what the router makes of it, and what the vendor then holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.decision_output import delivery_json, print_delivery, print_json
from destination_router.commands.options import AsJson, Pairs, SettingsFile
from destination_router.commands.output import FAILED, out, print_line, problems_told, talk, warn
from destination_router.config.origins import ANY_ORIGIN
from destination_router.config.router_toml import (
    ConnectionConfig,
    ConsoleConfig,
    DeliveryConfig,
    EventLogConfig,
    GatewayConfig,
    RouterConfig,
)
from destination_router.config.schema import SQLITE_URL
from destination_router.delivery.worker import Delivery
from destination_router.demo.stage import WRITE_KEY, Stage, Watched, play, stage
from destination_router.demo.traffic import has_sdk
from destination_router.pipeline.connection import Connection
from destination_router.service.configured import Configured
from destination_router.service.connections import sample_connection
from destination_router.service.event_loop import run_in_loop
from destination_router.service.signals import told_to_stop
from destination_router.service.tracing import Tracing


def demo(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="The destination to show.")],
    settings: SettingsFile = None,
    pairs: Pairs = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, so that your own SDK can send to it.")
    ] = False,
    console: Annotated[
        bool, typer.Option("--console", help="Leave it running, and show it on a web page.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Send real SDK traffic to a simulated vendor, and explain it.

    Everything runs in one process, and nothing leaves the machine. Settings that you leave out are
    the schema's examples. Without RudderStack's SDK, it sends the same calls in one plain request.
    To install the SDK: pip install 'heap-destination\[demo]'.

    Example: destination-router demo heap
    """
    with problems_told():
        if not has_sdk():
            install = "pip install 'heap-destination[demo]'"
            warn(f"RudderStack's SDK is not installed, so one plain request is sent: {install}")
        shown = sample_connection(plugin, settings, pairs or [])
        # `--keep` shows it, too: who leaves it running sees more there than here.
        keep = keep or console
        with tempfile.TemporaryDirectory(prefix="destination-router-demo-") as folder:
            work = _demo(shown, Path(folder) if keep else None, as_json=as_json)
            raise typer.Exit(run_in_loop(work))


async def _demo(connection: Connection, folder: Path | None, *, as_json: bool) -> int:
    # From here on a signal ends what is played, and nothing else: servers stop as they always do.
    told = told_to_stop()
    seen = _Seen(connection, as_json=as_json)

    async with contextlib.AsyncExitStack() as stack:
        shown = None if folder is None else stack.enter_context(_shown(connection, folder))
        watched = None if shown is None else shown.watched
        running = await stack.enter_async_context(stage(connection, seen.report, watched))
        if not as_json:
            _introduce(connection, running)
        held = await _unless(told, play(running))
        if held is None:
            raise KeyboardInterrupt
        deliveries = seen.played()
        if as_json:
            messages = [delivery_json(delivery, connection) for delivery in deliveries]
            print_line({"messages": messages, "held": held})
        else:
            _print_held(connection, held)
        if shown is not None:
            url = await stack.enter_async_context(shown.serve(running.vendor_url))
            talk.print(f"Still running: write key {WRITE_KEY}, data plane {running.gateway_url}")
            talk.print(f"The simulated vendor: {running.vendor_url}/_simulator/requests")
            talk.print(f"The console: {url} with the password {shown.password}")
            talk.print("Press Ctrl-C to end it.")
            await told.wait()
    return FAILED if seen.undelivered or not deliveries else 0


class _Seen:
    """Prints what becomes of each message, and keeps it while the demo plays.

    A demo that is left running may see millions: of those it keeps nothing.
    """

    def __init__(self, connection: Connection, *, as_json: bool) -> None:
        self.undelivered = 0
        self._connection = connection
        self._as_json = as_json
        self._deliveries: list[Delivery] = []
        self._is_played = False

    def report(self, window: Sequence[Delivery]) -> None:
        """Take in messages that ended."""
        for delivery in window:
            if delivery.outcome is not None and delivery.outcome.result != "delivered":
                self.undelivered += 1
            if not self._as_json:
                print_delivery(out.console, delivery, self._connection)
        if not self._is_played:
            self._deliveries.extend(window)

    def played(self) -> list[Delivery]:
        """Return what was played, in the order of the log, and keep no more."""
        deliveries, self._deliveries, self._is_played = self._deliveries, [], True
        return sorted(deliveries, key=lambda delivery: delivery.offset)


class _Shown(msgspec.Struct, frozen=True):
    """A demo with a console: what reports to it, and how its page is served."""

    password: str
    watched: Watched
    serve: Callable[[str], contextlib.AbstractAsyncContextManager[str]]


@contextlib.contextmanager
def _shown(connection: Connection, folder: Path) -> Iterator[_Shown]:
    """Prepare the console of a demo, with a new password."""
    # Here, for what draws pages would stay in the memory of every other command.
    from destination_router.console.start import console_serving, traces_of  # noqa: PLC0415

    # What a router writes to its log stands on the page; here it would stand between the messages.
    logging.getLogger("destination_router").addHandler(logging.NullHandler())
    table = ConsoleConfig(listen="127.0.0.1:0", password=secrets.token_urlsafe(9))
    config = RouterConfig(
        gateway=GatewayConfig(write_keys=(WRITE_KEY,)),
        eventlog=EventLogConfig(url=f"{SQLITE_URL}{folder / 'demo.db'}"),
        console=table,
        connections=(
            ConnectionConfig(
                name=connection.name, plugin=connection.plugin.name, settings=connection.given
            ),
        ),
    )
    with contextlib.closing(traces_of(config, folder)) as traces:

        def serve(vendor_url: str) -> contextlib.AbstractAsyncContextManager[str]:
            delivery = DeliveryConfig(origins={ANY_ORIGIN: vendor_url})
            whole = msgspec.structs.replace(config, delivery=delivery)
            configured = Configured(whole, [connection])
            return console_serving(table, lambda: configured, traces)

        yield _Shown(table.password, Watched(config.eventlog, Tracing(traces)), serve)


async def _unless(
    told: asyncio.Event, playing: Coroutine[Any, Any, dict[str, list[Any]]]
) -> dict[str, list[Any]] | None:
    """Play to the end; None if the user stopped it."""
    tasks = asyncio.create_task(playing), asyncio.create_task(told.wait())
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return None if tasks[0].cancelled() else tasks[0].result()


def _introduce(connection: Connection, running: Stage) -> None:
    out.print(
        f"[bold]rudder-sdk-python[/] → gateway {running.gateway_url} → "
        f"[bold]{connection.plugin.name}[/] → simulated vendor {running.vendor_url}\n",
    )


def _print_held(connection: Connection, held: dict[str, list[Any]]) -> None:
    out.console.rule(f"What the simulated {connection.plugin.name} now holds")
    for kind, rows in held.items():
        out.print(f"[bold]{kind}[/]: {len(rows)}")
        for row in rows:
            print_json(out.console, _without_nulls(row))


def _without_nulls(row: Any) -> Any:
    if isinstance(row, dict):
        return {key: value for key, value in row.items() if value is not None}
    return row
