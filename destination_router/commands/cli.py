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
from importlib.metadata import version
from typing import Annotated, TextIO

import typer

import destination_router.lean_httpx  # noqa: F401 -- before whatever imports httpx
from destination_router.commands.other_commands import WithOtherCommands
from destination_router.commands.output import FAILED, OutputError, complain, out, tell_output_apart
from destination_router.faults import file_problem

DISTRIBUTION = "heap-destination"

COMMANDS = {
    "Try a destination": {
        "demo": "demo:demo",
        "try": "try_:try_",
        "send": "send:send",
        "diff": "diff:diff",
        "plugins": "plugins:plugins",
        "schema": "schema:schema",
        "simulate": "simulate:simulate",
    },
    "Run a router": {
        "check": "check:check",
        "run": "run:run",
        "console": "console:console",
        "reload": "reload:reload",
        "transformer": "transformer:transformer",
        "dead-letters": "dead_letters:commands",
        "replay": "replay:replay",
        "connections": "pausing:commands",
        "eventlog": "eventlog:commands",
        "privacy": "privacy_report:commands",
        "delete-user": "delete_user:delete_user",
    },
    "Come from elsewhere, or write your own": {
        "import": "import_:import_",
        "new": "new:new",
    },
}
"""Our own commands, under the headings of `--help`: the module of each, and its name there."""


class _Commands(WithOtherCommands):
    own = COMMANDS


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    _open_closed_streams()
    tell_output_apart()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        _write_no_more(sys.stdout)
        raise SystemExit(FAILED) from None
    except OutputError as error:
        _write_no_more(sys.stdout)
        try:
            complain(file_problem("standard output", error))
            sys.stderr.flush()
        except OSError:  # it goes to the same full disk
            _write_no_more(sys.stderr)
        raise SystemExit(FAILED) from None


def _write_no_more(stream: TextIO) -> None:
    """Let what is still to be printed go nowhere. Python writes it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Let what is written to a stream that was closed, as by `2>&-`, go nowhere.

    Otherwise there is no such stream in Python, and its number is the next opened file's.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)  # noqa: FBT003 -- other processes write there, too
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
