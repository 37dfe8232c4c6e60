"""`replay`: send again what a connection delivered and the log still keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from destination_router.commands.dead_letters import opened_log
from destination_router.commands.decision_output import counted
from destination_router.commands.options import ROUTER_TOML, RouterToml, read_moment
from destination_router.commands.output import FAILED, problems_told, talk
from destination_router.config.router_toml import load_config
from destination_router.contract.times import format_time
from destination_router.delivery.replays import EVENTS, PROFILES, replayed
from destination_router.eventlog.log_admin import Kept
from destination_router.faults import UsageError
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import connect_of_file


def replay(
    connection: Annotated[
        str, typer.Option("--connection", metavar="NAME", help="The connection to send to.")
    ],
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Events that came in since 2026-11-22T10:00Z, or 2h ago.",
        ),
    ],
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Events that came in before this time."),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", metavar="NAME", help="Only this event, page or screen. You may repeat this."
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user", metavar="ID", help="Only of this userId or anonymousId. You may repeat this."
        ),
    ] = None,
    profiles: Annotated[
        bool,
        typer.Option(
            "--profiles",
            help="Include updates of profiles. Older values may overwrite newer ones.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show how many there are.")
    ] = False,
    config: RouterToml = ROUTER_TOML,
) -> None:
    """Send again what a connection delivered, if it is kept.

    The events go to this connection only, in order, behind what waits. Each has the same key as
    before. The setting keep_delivered of the event log says how long they are kept.

    Example: destination-router replay --connection heap --since 2h --dry-run
    """
    with problems_told():
        router = load_config(config)
        names = [each.name for each in router.connections]
        if connection not in names:
            raise UsageError(
                f"{config} has no connection {connection!r}; it has {', '.join(names)}"
            )
        config_of_it = router.connections[names.index(connection)]
        ready = connect_of_file(config, router, config_of_it)
        what = PROFILES if profiles else EVENTS
        start = read_moment("--since", since)
        end = time.time() if until is None else read_moment("--until", until)
        # Looked through without the lock that senders and workers need to write.
        with opened_log(router) as log:
            complete = log.kept_since()
            kept = log.delivered(connection, start, end)
            wanted = _chosen(kept, event or [], user or [])
            chosen = [each for each in wanted if _goes_out(ready, each, what)]
        if chosen and not dry_run:
            with opened_log(router, to_write=True) as log:
                log.send_again(connection, chosen, what, time.time())
        if not chosen:
            talk.print(_nothing(router.eventlog.keep_delivered, complete), markup=False)
            raise typer.Exit(FAILED)
        verb = "would go" if dry_run else "go"
        talk.print(f"{counted(len(chosen), 'message')}: {verb} to {connection} again", markup=False)
        if complete is not None and complete > start:
            talk.print(f"Of what came in before {_time(complete)}, not all is kept.", markup=False)
        if profiles:
            talk.print("Older values of profiles may overwrite newer ones.")


class _About(msgspec.Struct, rename="camel"):
    event: object = None
    name: object = None
    user_id: object = None
    anonymous_id: object = None


def _chosen(kept: Iterator[Kept], events: list[str], users: list[str]) -> Iterator[Kept]:
    for each in kept:
        if events or users:
            try:
                about = msgspec.json.decode(each.body, type=_About)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if events and not {about.event, about.name}.intersection(events):
                continue
            if users and {str(about.user_id), str(about.anonymous_id)}.isdisjoint(users):
                continue
        yield each


def _goes_out(connection: Connection, kept: Kept, what: str) -> bool:
    """Tell whether the connection, as it is today, would send anything for an event."""
    decision = connection.decide(kept.body, source=kept.source)
    return replayed(decision, what).result == "requests"


def _nothing(keep_delivered: float, complete: float | None) -> str:
    if not keep_delivered:
        return "Nothing of that is kept: [eventlog] keep_delivered says for how long it would be."
    if complete is None:
        return "Nothing of that was delivered, or would go out again."
    held = "nothing" if complete == float("inf") else f"all since {_time(complete)}"
    return f"Nothing of that was delivered, or it is not kept any more: the log holds {held}."


def _time(moment: float) -> str:
    return format_time(datetime.fromtimestamp(moment, UTC))
