"""`import SYSTEM FILE`: a router.toml from what another system exported, and what it lacks.

The configuration goes to standard output (or `--output`), what could not be carried over to
standard error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from destination_router.commands.output import problems_told, talk
from destination_router.contract.records import Json
from destination_router.faults import UsageError, file_problem
from destination_router.migration.translation import imported
from destination_router.private_files import open_private
from destination_router.settings.documents import DocumentError, number_problems, parse_json


def import_(
    system: Annotated[
        str,
        typer.Argument(
            metavar="SYSTEM", help="The system that exported it: segment or rudderstack."
        ),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The export, as JSON.")],
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin",
            metavar="NAME",
            help="The destination that the export is for. By default, all are asked.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
) -> None:
    """Write a router.toml from another system's export.

    It lists everything that it cannot carry over unchanged, on standard error.

    Example: destination-router import segment settings.json -o router.toml
    """
    with problems_told():
        text, lost = imported(system, _read(file), plugin)
        if output is None:
            typer.echo(text)
        else:
            with open_private(output, "xb") as written:  # it may hold write keys
                written.write(text.encode())
            talk.print(f"{output} is written", markup=False)
        talk.print("Not carried over as it was:" if lost else "Everything is carried over.")
        for sentence in lost:
            talk.print(f"  {sentence}", markup=False)


def _read(file: Path) -> Json:
    try:
        content = parse_json(file.read_text(encoding="utf-8-sig"))
    except DocumentError as error:
        raise UsageError(f"{file} {error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(file_problem(file, error)) from None
    for problem in number_problems(content):
        raise UsageError(f"{file}: {problem}")
    return content
