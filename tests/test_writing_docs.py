"""docs/writing-a-destination.md: a reader who does what it says gets what it shows."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "writing-a-destination.md"
BLOCK = re.compile(
    r"(?:\*\*`(?P<path>[^`\n]+)`\*\*\n\n)?```\w+(?P<fails> fails)?\n(?P<text>.*?)```\n",
    re.DOTALL,
)


class Command(NamedTuple):
    line: str
    printed: str
    fails: bool


def commands(text: str, *, fails: bool) -> Iterator[Command]:
    """Split a block: each line after `$ ` is a command, what follows is what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        yield Command(line, printed.strip(), fails)


class Reader:
    """Someone at a shell, in a virtual environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = environment

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def type(self, command: Command) -> str:
        script = f"{command.line}\ncode=$?; pwd >&3; env -0 >&4; exit $code"
        after, variables = self.folder.parent / ".pwd", self.folder.parent / ".env"
        shell = ["bash", "-c", f"{{ {script}\n}} 3>{after} 4>{variables}"]
        done = subprocess.run(
            shell,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == command.fails, f"$ {command.line}\n{done.stdout}"
        self.folder = Path(after.read_text().strip())
        self._environment = dict(
            pair.split("=", 1) for pair in variables.read_text().split("\0") if pair
        )
        return done.stdout


def matches(shown: str, printed: str) -> bool:
    """Whether output is what the page shows, where `...` stands for anything."""
    pattern = "(?s:.*)".join(re.escape(part.strip("\n")) for part in shown.split("..."))
    return re.fullmatch(pattern, printed.strip()) is not None


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, fresh_venv: Callable[[], Path]) -> Reader:
    folder = tmp_path_factory.mktemp("reader") / "home"
    folder.mkdir()
    path = f"{fresh_venv()}{os.pathsep}{os.environ['PATH']}"
    return Reader(folder, {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100"})


def test_the_page_does_what_it_says(reader: Reader) -> None:
    """Files are written and commands run in the page's order, and print what it shows."""
    for block in BLOCK.finditer(PAGE.read_text()):
        if block["path"]:
            reader.write(block["path"], block["text"])
            continue
        for command in commands(block["text"], fails=bool(block["fails"])):
            printed = reader.type(command)
            if command.printed:
                assert matches(command.printed, printed), f"$ {command.line}\n{printed}"
