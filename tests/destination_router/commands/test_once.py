"""An option that is repeated counts each time, or is refused: it is never half obeyed."""

from pathlib import Path
from typing import Any

import pytest
from command_docs import all_commands
from command_line import run_command as run
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.commands.once import OnceCommand


@pytest.mark.parametrize("command", all_commands().values(), ids=lambda command: command.name)
def test_every_command_refuses_what_it_would_override(command: Any) -> None:
    """Each command is made so that an option counts once, or is a list."""
    assert isinstance(command, OnceCommand)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--config", "a.toml", "--config", "b.toml"),
        ("try", "heap", "--settings", "a.json", "--settings", "b.json", "-"),
        ("send", "heap", "--wait", "1s", "--wait", "2s", "-"),
        ("delete-user", "heap", "--audit", "a", "--audit", "b", "--user", "ada"),
        ("delete-user", "heap", "--dry-run", "--dry-run", "--user", "ada"),
        ("dead-letters", "list", "--config", "a.toml", "--config", "b.toml"),
        ("try", "heap", "--set", "appId=11", "--set", "appId=12", "-"),
        ("send", "heap", "--set", "appId=11", "--origin", "https://heapanalytics.com=http://a",
         "--origin", "https://heapanalytics.com/=http://b", "-"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)  # fmt: skip
def test_an_option_that_is_given_twice_is_refused(arguments: tuple[str, ...]) -> None:
    """The last one would count, and the first be forgotten."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "once" in done.stderr


def test_every_file_of_people_to_delete_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files are two files, and a refusal names the one that it is about."""
    monkeypatch.setenv("HEAP_API_KEY", "k")
    (tmp_path / "a.txt").write_text("ada\n")
    (tmp_path / "b.txt").write_text('bob\n"eve","x"\n')
    files = ("--file", tmp_path / "a.txt", "--file", tmp_path / "b.txt")
    done = run("delete-user", "heap", "--set", "appId=11", "--dry-run", *files)
    assert "2 users would be deleted" in done.stdout
    assert "b.txt, line 2: not_an_id" in done.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("command", "example"),
    [
        (["demo", "--console"], "demo heap"),
        (["schema"], "schema heap"),
        (["replay"], "replay --connection heap"),
        (["connections", "pause"], "connections pause heap-production"),
    ],
)
def test_what_is_missing_is_told_with_an_example(command: list[str], example: str) -> None:
    """Whoever has left something out reads what it is, and a line that works."""
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    told = " ".join(done.stderr.replace("│", " ").split())
    assert "Missing" in told
    assert f"For example: destination-router {example}" in told


def test_a_choice_is_refused_in_plain_words() -> None:
    """The error names what there is to choose from, and nothing of what reads it."""
    done = CliRunner().invoke(app, ["new", "some-destination", "--language", "perl"])
    assert done.exit_code == 2
    assert "'perl' is not one of 'python', 'node'" in " ".join(done.stderr.split())
    assert "Value error" not in done.stderr
