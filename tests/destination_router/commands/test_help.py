"""`--help`: every command says what it is for, and shows how it is used."""

import re
import shlex
from itertools import pairwise

import pytest
from command_docs import all_commands, example, purpose
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.commands.options import ROUTER_TOML

_WIDTH = 80

COMMANDS = all_commands()
WITHOUT_ROUTER_TOML = {
    ("try",), ("send",), ("delete-user",), ("diff",), ("transformer",), ("privacy", "report"),
    ("record",),
}  # fmt: skip
"""Commands that can work without a router.toml, which therefore read one only if it is named."""
ALL = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


@ALL
def test_a_command_says_what_it_is_for_in_one_line(path: tuple[str, ...]) -> None:
    """It fits beside the name where commands are listed, on 80 columns."""
    line = purpose(COMMANDS[path])
    assert re.fullmatch(r"[A-Z][^\n]*\.", line)
    listing = CliRunner().invoke(app, [*path[:-1], "--help"], env={"COLUMNS": str(_WIDTH)}).output
    (row,) = [row for row in listing.splitlines() if re.match(rf"│ {path[-1]} +[A-Z]", row)]
    assert line in row


@ALL
def test_a_command_has_an_example_that_it_understands(path: tuple[str, ...]) -> None:
    """Whoever copies it gets no complaint about the options."""
    command = COMMANDS[path]
    name, *arguments = shlex.split(example(command))
    assert (name, tuple(arguments[: len(path)])) == ("destination-router", path)
    assert len(f"Example: {example(command)}") <= _WIDTH - 2
    command.make_context(path[-1], arguments[len(path) :]).close()


@ALL
def test_what_stands_in_brackets_is_shown(path: tuple[str, ...]) -> None:
    """`[demo]` is a part of a name there, and no mark of the terminal's."""
    command = COMMANDS[path]
    texts = [command.help or "", *(parameter.help or "" for parameter in command.params)]
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"}).output
    for name in re.findall(r"\[[a-z][\w.]*\]", " ".join(texts)):
        assert name in shown


@ALL
def test_a_paragraph_is_cut_only_where_the_terminal_ends(path: tuple[str, ...]) -> None:
    """The source's lines are longer than a terminal's, and both cuts would leave stubs of lines."""
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(_WIDTH)}).output
    lines = [line.strip() for line in shown.partition("╭")[0].splitlines()]
    for line, following in pairwise(lines):
        if line and following:
            assert len(f"{line} {following.split()[0]}") > _WIDTH - 2, line


@ALL
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    """And an address is `--listen HOST:PORT` in every command that answers somewhere."""
    for parameter in COMMANDS[path].params:
        assert parameter.help, parameter.name
        if {"--listen", "--port", "--host"} & set(parameter.opts):
            assert (parameter.opts, parameter.metavar) == (["--listen"], "HOST:PORT")


@ALL
def test_a_command_that_needs_a_router_toml_has_one_default(path: tuple[str, ...]) -> None:
    """`--config` is router.toml in the current folder; what can do without one takes no default."""
    for parameter in COMMANDS[path].params:
        if "--config" in parameter.opts:
            expected = None if path in WITHOUT_ROUTER_TOML else ROUTER_TOML
            assert parameter.default == expected
