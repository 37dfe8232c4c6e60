"""`try`: show what would be sent for each message of a file, and why, without sending it."""

from __future__ import annotations

import traceback
from typing import Annotated

import typer

from destination_router.commands.decision_output import (
    Tally,
    decision_json,
    print_decision,
    print_steps,
    steps_json,
)
from destination_router.commands.from_file import FileChoice, chosen
from destination_router.commands.options import (
    JsonLines,
    taking,
)
from destination_router.commands.output import (
    FAILED,
    out,
    print_line,
    problems_told,
    summed_up,
    talk,
)
from destination_router.files.reading import read_lines


@taking(chosen)
def try_(
    choice: FileChoice,
    as_json: JsonLines = False,
    with_traceback: Annotated[
        bool,
        typer.Option("--traceback", help="Show a plugin's exceptions in full, on standard error."),
    ] = False,
) -> None:
    """Show what would be sent for each message. It sends nothing.

    It shows every request, a note for whatever was changed or left out, and why a message is
    filtered or rejected.

    Example: destination-router try heap --set appId=1234567890 messages.jsonl
    """
    with problems_told():
        if with_traceback:
            choice.connection.tell_plugin_error = _print_traceback
        tally = Tally()
        with summed_up(lambda: None if as_json else talk.print(str(tally))):
            for line in read_lines(choice.source):
                decision = choice.connection.decide(line.raw, message_id=line.message_id)
                steps = choice.connection.steps(line.raw, message_id=line.message_id)
                tally.count(decision)
                if as_json:
                    told = {**line.place_json, **decision_json(decision, choice.connection)}
                    print_line(told | ({"steps": steps_json(steps)} if steps else {}))
                else:
                    print_decision(out.console, decision, choice.connection, place=line.place)
                    print_steps(out.console, steps)
    raise typer.Exit(FAILED if tally.results["rejected"] else 0)


def _print_traceback(error: BaseException) -> None:
    talk.print("".join(traceback.format_exception(error)), markup=False, highlight=False)
