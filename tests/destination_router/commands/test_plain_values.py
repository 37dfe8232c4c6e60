"""Plain values are read as typer reads them, without what it reads them with."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

from destination_router.commands.plain_values import read_plainly

_RUNNER = CliRunner()
_LOOK = """
import sys
from typer.main import get_command
from destination_router.commands.cli import app
app = get_command(app)
with app.make_context("destination-router", ["run"]) as context:
    run = app.get_command(context, "run")
    with run.make_context("run", sys.argv[1:], parent=context) as below:
        print(below.params["config"], below.params["listen"])
import destination_router.service.router
print(sorted({"pydantic", "rich", "pygments", "jinja2"} & set(sys.modules)))
"""


class _Plainly(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        read_plainly(self.params)
        return super().parse_args(ctx, args)


def _told(arguments: tuple[str, ...], *, plainly: bool) -> tuple[int, str, list[Any]]:
    seen: list[Any] = []

    def command(  # noqa: PLR0913, PLR0917 -- one of each kind
        place: Annotated[Path, typer.Argument()],
        name: Annotated[str, typer.Option("--name")],
        folder: Annotated[Path, typer.Option("--folder", exists=True, file_okay=False)] = Path(),
        any_file: Annotated[Path | None, typer.Option("--any")] = None,
        count: Annotated[int | None, typer.Option("--count", min=1, max=9)] = None,
        share: Annotated[float, typer.Option("--share")] = 0.5,
        names: Annotated[list[str] | None, typer.Option("--names")] = None,
        loud: Annotated[bool, typer.Option("--loud")] = False,  # noqa: FBT002 -- as typer has it
    ) -> None:
        seen.extend((place, name, folder, any_file, count, share, names, loud))

    app = typer.Typer(add_completion=False)
    app.command(cls=_Plainly if plainly else None)(command)
    ended = _RUNNER.invoke(app, list(arguments))
    return ended.exit_code, ended.output, seen


@pytest.mark.parametrize(
    "arguments",
    [
        (".", "--name", "Ada"),
        (".", "--name", ""),
        ("no/such/file", "--name", "7", "--any", "no/such/file"),
        (".", "--name", "x", "--any", __file__, "--count", "3", "--loud"),
        (".", "--name", "x", "--count", "0"),
        (".", "--name", "x", "--count", "10"),
        (".", "--name", "x", "--count", "007"),
        (".", "--name", "x", "--count", "-1"),
        (".", "--name", "x", "--count", "\u0663"),
        (".", "--name", "x", "--count", "three"),
        (".", "--name", "x", "--folder", __file__),
        (".", "--name", "x", "--folder", "no/such/folder"),
        (".", "--name", "x", "--share", "0.25", "--names", "a", "--names", "b"),
        (".",),
        ("--name", "x"),
    ],
    ids=" ".join,
)
def test_a_value_is_read_as_typer_reads_it(arguments: tuple[str, ...]) -> None:
    """A command gets the same values, or ends with the same words."""
    assert _told(arguments, plainly=True) == _told(arguments, plainly=False)


def test_a_server_loads_nothing_that_it_never_uses(tmp_path: Path) -> None:
    """`run` holds neither what formats text for people nor what typer reads values with."""
    config = tmp_path / "router.toml"
    config.touch()
    arguments = ("--config", str(config), "--listen", "127.0.0.1:0", "--workers", "2")
    ended = subprocess.run(  # what else these tests load is no part of it
        [sys.executable, "-c", _LOOK, *arguments], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == [f"{config} 127.0.0.1:0", "[]"]
