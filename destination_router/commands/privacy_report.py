"""`privacy report`: list the fields of a file or the live log, and which pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from destination_router.commands.decision_output import counted
from destination_router.commands.once import OnceCommand
from destination_router.commands.options import ROUTER_TOML, ConnectionName, JsonLines
from destination_router.commands.output import out, problems_told, summed_up, talk
from destination_router.config.router_toml import EventLogConfig
from destination_router.contract.records import Reject
from destination_router.eventlog.opening import open_admin
from destination_router.files.reading import read_lines
from destination_router.pipeline.privacy.config import load_allowed
from destination_router.pipeline.privacy.hipaa import Allowed
from destination_router.pipeline.privacy.report import HIDDEN_NAME, Report, proposal
from destination_router.service.connections import choose_from_config
from destination_router.service.field_report import add_message, steps_before_privacy

commands = typer.Typer(no_args_is_help=True, help="See which fields there are, and which pass.")


@commands.callback()
def _group() -> None:
    """See which fields there are, and which pass."""


@commands.command(cls=OnceCommand)
def report(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="Messages in JSON. By default, those in the log of the router.toml.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="A router.toml, with its log and allowlists. Without FILE, router.toml.",
            show_default=False,
        ),
    ] = None,
    connection: ConnectionName = None,
    people: Annotated[
        int,
        typer.Option("--people", min=1, help="Show a name only if this many people sent it."),
    ] = 2,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print allowlists to start from, as TOML.")
    ] = False,
    as_json: JsonLines = False,
) -> None:
    """Show which fields were seen and which passed, and no values.

    Example: destination-router privacy report messages.jsonl --config router.toml
    """
    with problems_told():
        if source is None and config is None:
            config = ROUTER_TOML
        chosen, log = None, None
        if config is not None:
            chosen, router = choose_from_config(config, connection)
            log = router.eventlog
        allowed = Allowed() if chosen is None else load_allowed(chosen)
        told = Report(allowed, people, () if chosen is None else (chosen.name, chosen.plugin))
        steps = steps_before_privacy(chosen)
        unread = Counter[str]()

        def sum_up() -> None:
            if not told.messages and not unread:
                talk.print(_nothing_seen(source, "" if log is None else log.told), markup=False)
                return
            _print(told, people, as_toml=as_toml, as_json=as_json)
            more = unread.total()
            talk.print(f"{counted(told.messages, 'message')}, {more} more could not be read")

        with summed_up(sum_up):
            for raw in _bodies(source, log):
                try:
                    add_message(raw, steps, told)
                except Reject as reject:
                    unread[reject.code] += 1


def _nothing_seen(source: str | None, log: str) -> str:
    if source is not None:
        return f"Nothing was seen: no message of {source} gets as far as privacy."
    return (
        f"Nothing was seen: {log} holds no message now that gets as far as privacy. Delivered ones "
        "are deleted, unless [eventlog] keep_delivered keeps them: set it, or name a file"
    )


def _bodies(source: str | None, log: EventLogConfig | None) -> Iterator[bytes]:
    if source is not None:
        for line in read_lines(source):
            yield line.raw
        return
    assert log is not None  # noqa: S101 -- one of the two is given
    with open_admin(log) as opened, opened.reading():
        yield from opened.bodies()


def _print(told: Report, people: int, *, as_toml: bool, as_json: bool) -> None:
    rows = told.rows()
    if as_toml:
        typer.echo(proposal(rows), nl=False)
        if all(row.name == HIDDEN_NAME for row in rows):
            talk.print(
                f"No name is proposed: fewer than {people} people sent each. --people 1 proposes "
                "those of one person, too",
                markup=False,
            )
    elif as_json:
        for row in rows:
            typer.echo(msgspec.json.encode({**msgspec.structs.asdict(row), "dropped": row.dropped}))
    else:
        lines = [("list", "field", "seen", "passed", "dropped")]
        for row in rows:
            counts = (str(row.seen), str(row.passed), str(row.dropped))
            lines.append((row.list, row.name or '""', *counts))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            out.print("  ".join(cells).rstrip(), markup=False)
        if any(row.name == HIDDEN_NAME for row in rows):
            talk.print(
                f"{HIDDEN_NAME}: names that fewer than {people} people sent, or that look like "
                "a value: they may name somebody (--people 1 shows the former)",
                markup=False,
            )
