"""The `destination-router` command, as a table. Each command parses and reports in its module.

Data goes to standard output, and talk to standard error. docs/commands.md has the exit statuses. An
installed distribution may add commands through the entry-point group
`destination_router.commands`.
"""

from __future__ import annotations

if __name__ == "__main__":  # Ctrl-C is heeded while the rest is imported, which takes a second
    from destination_router_start import main as start

    start()
    raise SystemExit

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from destination_router.commands.check import check
from destination_router.commands.console import console
from destination_router.commands.dead_letters import commands as letter_commands
from destination_router.commands.delete_user import delete_user
from destination_router.commands.demo import demo
from destination_router.commands.diff import diff
from destination_router.commands.eventlog import commands as log_commands
from destination_router.commands.import_ import import_
from destination_router.commands.new import new
from destination_router.commands.once import OnceCommand
from destination_router.commands.other_commands import WithOtherCommands
from destination_router.commands.output import FAILED, out
from destination_router.commands.pausing import commands as connection_commands
from destination_router.commands.plugins import plugins
from destination_router.commands.privacy_report import commands as privacy_commands
from destination_router.commands.reload import reload
from destination_router.commands.replay import replay
from destination_router.commands.run import run
from destination_router.commands.schema import schema
from destination_router.commands.send import send
from destination_router.commands.simulate import simulate
from destination_router.commands.transformer import transformer
from destination_router.commands.try_ import try_

DISTRIBUTION = "heap-destination"

COMMANDS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Try a destination": {
        "demo": demo,
        "try": try_,
        "send": send,
        "diff": diff,
        "plugins": plugins,
        "schema": schema,
        "simulate": simulate,
    },
    "Run a router": {
        "check": check,
        "run": run,
        "console": console,
        "reload": reload,
        "transformer": transformer,
        "dead-letters": letter_commands,
        "replay": replay,
        "connections": connection_commands,
        "eventlog": log_commands,
        "privacy": privacy_commands,
        "delete-user": delete_user,
    },
    "Come from elsewhere, or write your own": {
        "import": import_,
        "new": new,
    },
}
"""Our own commands, under the headings of `--help`."""

app = typer.Typer(
    cls=WithOtherCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _heading, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_heading)
        else:
            app.command(_name, cls=OnceCommand, rich_help_panel=_heading)(_command)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 -- typer calls it so
    if wanted:
        out.print(f"destination-router {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version_: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Send customer events to vendors, through destinations that anyone can write.

    Exit status: 0 all well, 1 not everything was delivered or done, 2 wrong usage or configuration.
    """


def main() -> None:
    """Run the command."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
