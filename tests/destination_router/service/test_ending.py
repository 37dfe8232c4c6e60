"""How commands end: by Ctrl-C, by a reader that leaves, and with which status.

Modules: `service/serving.py`, `service/signals.py`, `commands/other_commands.py`.
"""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from command_line import run_command
from waiting import INTERRUPTIBLE, PATIENCE, closed_port, free_port, until

from destination_router.eventlog.sqlite.file import open_file

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
COMMANDS = Path(__file__).parents[3] / "docs" / "commands.md"
TRACK = {"type": "track", "userId": "ada", "event": "E", "messageId": "m1"}
CONNECTION = '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
ROUTER = f'[gateway]\nwrite_keys = ["key"]\n{CONNECTION}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some files, to be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "messages.jsonl").write_text(json.dumps(TRACK) + "\n")
    (tmp_path / "nameless.jsonl").write_text('{"type": "track", "userId": "ada"}\n')
    (tmp_path / "router.toml").write_text(ROUTER)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["try", "heap", "--set", "appId=11", "-"], r"(\d+) messages: \1 would be sent in \1 "),
        (["diff", "--from", "segment", "--to", "heap", "-"], r"(\d+) messages: 0 the same, \1 "),
        (["privacy", "report", "-"], r"(\d+) messages, 0 more could not be read"),
    ],
)
def test_ctrl_c_sums_up_what_was_looked_at(arguments: list[str], words: str, folder: Path) -> None:
    """In the midst of a stream, a command says how far it came and ends with status 1."""
    line = (json.dumps(TRACK) + "\n").encode()
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(
            [*INTERRUPTIBLE, *CLI, *arguments],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(line * 5000)  # far more than the pipe holds: most has been read
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 1
    text = (folder / "said").read_text()
    found = re.search(words, text)
    assert found is not None, text[-500:]
    assert 0 < int(found[1]) <= 5000
    assert text.endswith("Interrupted.\n")
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("started", "imported"),
    [
        ("destination_router_start", "msgspec"),
        ("destination_router_start", "destination_router"),
        ("destination_router_start", "jsonschema"),
        ("destination_router_start", "heap_destination.dialects"),
        ("destination_router.commands.cli", "typer"),
        ("destination_router.commands.cli", "destination_router.commands.from_file"),
    ],
)
def test_ctrl_c_is_heeded_while_the_command_loads(started: str, imported: str) -> None:
    """Whatever is being imported, it is one plain line and status 1, and no traceback."""
    waiting = ["try", "heap", "--set", "appId=11", "-"]  # on standard input, for ever
    loading = [sys.executable, "-X", "importtime", "-m", started, *waiting]
    with subprocess.Popen(
        [*INTERRUPTIBLE, *loading], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for line in process.stderr:
            if re.fullmatch(rf"import time:.*\| +{re.escape(imported)}\n", line):
                process.send_signal(signal.SIGINT)
                break
        _, talk = process.communicate()
        watchdog.cancel()
    said = [line for line in talk.splitlines() if not line.startswith("import time:")]
    assert process.returncode == 1, talk[-2000:]
    assert said[-1:] == ["Interrupted."]
    assert "Traceback" not in talk


INTERRUPTED_IN_TEXT = """
import sys, types
import destination_router_start

command = types.ModuleType("destination_router.commands.cli")
command.main = lambda: exec("import signal; signal.raise_signal(signal.SIGINT)")
sys.modules[command.__name__] = command
destination_router_start.main()
"""


def test_ctrl_c_within_text_that_is_run_ends_the_command_as_ever(tmp_path: Path) -> None:
    """Python would end `python -m` by the signal: it notes a Ctrl-C within `exec`."""
    (tmp_path / "started.py").write_text(INTERRUPTED_IN_TEXT)
    done = subprocess.run(
        [*INTERRUPTIBLE, sys.executable, "-m", "started"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "Interrupted.\n")


READING_OPTIONS = """
import os, signal, typer
from destination_router.commands.other_commands import WithOtherCommands

app = typer.Typer(cls=WithOtherCommands)
interrupt = lambda given: os.kill(os.getpid(), signal.SIGINT) if given else None

@app.callback()
def options(now: bool = typer.Option(False, "--now", callback=interrupt)): ...

@app.command()
def command(now: bool = typer.Option(False, "--now", callback=interrupt)): ...

app()
"""


@pytest.mark.parametrize("arguments", [["--now", "command"], ["command", "--now"]])
def test_ctrl_c_is_heeded_while_options_are_read(arguments: list[str]) -> None:
    """Before the command itself has a say, it is the same line and the same status."""
    done = subprocess.run(
        [*INTERRUPTIBLE, sys.executable, "-c", READING_OPTIONS, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "Interrupted.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "heap", "--listen", "127.0.0.1:{port}"],
        ["transformer", "--listen", "127.0.0.1:{port}"],
        ["run", "--listen", "127.0.0.1:{port}"],
    ],
)
def test_what_serves_ends_well_when_it_is_told_to(
    arguments: list[str], number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM are how it is meant to end: status 0, and no traceback."""
    url = f"http://127.0.0.1:{(port := free_port())}/health"
    command = [*CLI, *(argument.format(port=port) for argument in arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: _answers(url))
        process.send_signal(number)
        _, talk = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, talk
    assert b"Traceback" not in talk


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize(
    "arguments",
    [
        ["try", "heap", "--set", "appId=11", "messages.jsonl"],
        ["try", "heap", "--set", "appId=11", "--json", "messages.jsonl"],
        ["diff", "--from", "segment", "--to", "heap", "messages.jsonl"],
        ["schema", "heap"],
        ["privacy", "report", "messages.jsonl"],
        ["nonsense"],
    ],
)
def test_a_reader_that_has_left_is_no_error(arguments: list[str]) -> None:
    """Even one that never read: no traceback, on standard output or on standard error."""
    for stream in ("stdout", "stderr"):
        reading, writing = os.pipe()
        os.close(reading)
        other = {"stdout": "stderr", "stderr": "stdout"}[stream]
        done = subprocess.run(
            [*CLI, *arguments], check=False, **{stream: writing, other: subprocess.PIPE}
        )
        os.close(writing)
        assert done.returncode in {0, 1, 2}
        talk = done.stderr or b""
        assert b"Traceback" not in talk
        assert b"BrokenPipe" not in talk


STATUSES = [
    (0, "all well", ["try", "heap", "--set", "appId=11", "messages.jsonl"]),
    (0, "all well", ["check"]),
    (1, "messages were rejected", ["try", "heap", "--set", "appId=11", "nameless.jsonl"]),
    (1, "or are left", ["send", "--config", "dead.toml", "messages.jsonl"]),
    (1, "a check or a case failed", ["check", "--live", "--config", "dead.toml"]),
    (1, "a file breaks off", ["try", "heap", "--set", "appId=11", "cut.jsonl.gz"]),
    (1, "what you asked for is not there", ["dead-letters", "show", "17"]),
    (2, "wrong usage", ["try", "heap", "--set", "appId=11", "messages.jsonl", "more.jsonl"]),
    (2, "wrong usage", ["sned"]),
    (2, "or configuration", ["try", "heap", "--set", "appId=x", "messages.jsonl"]),
    (2, "or a log", ["dead-letters", "list", "--config", "nolog.toml"]),
    (2, "or an address that cannot be used", ["simulate", "heap", "--listen", "192.0.2.1:1"]),
]


@pytest.mark.parametrize(("status", "words", "arguments"), STATUSES)
def test_the_documented_exit_statuses_are_true(
    folder: Path, status: int, words: str, arguments: list[str]
) -> None:
    """Each reason that docs/commands.md gives for a status leads to that status."""
    documented = dict(re.findall(r"^\| (\d) \| (.*) \|$", COMMANDS.read_text(), re.MULTILINE))
    assert words in documented[str(status)]
    dead = f'origins = {{"*" = "http://127.0.0.1:{closed_port()}"}}\nmax_attempts = 1\n'
    (folder / "dead.toml").write_text(f"{ROUTER}[delivery]\n{dead}")
    (folder / "nolog.toml").write_text(f'{ROUTER}[eventlog]\nurl = "sqlite:///no.db"\n')
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(TRACK).encode())[:-9])
    open_file(folder / "router.db")
    done = run_command(*arguments)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize(("name", "colours"), [("NO_COLOR", False), ("ANYTHING", True)])
def test_a_terminal_gets_colours_unless_it_wants_none(name: str, *, colours: bool) -> None:
    """NO_COLOR=1 is honoured."""
    status, said = _on_a_terminal("nameless.jsonl", {name: "1"})
    assert status == 1
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", said)) == colours, said


def test_a_terminal_shows_what_is_long_whole(folder: Path) -> None:
    """A value that is wider than the terminal is neither cut nor broken by us."""
    long = "x" * 300
    path = folder / "long.jsonl"
    path.write_text(json.dumps(TRACK | {"properties": {"text": long}}))
    status, said = _on_a_terminal("long.jsonl", {"COLUMNS": "80"})
    assert status == 0
    assert f'"{long}"'.encode() in said


def _on_a_terminal(file: str, more: dict[str, str]) -> tuple[int, bytes]:
    """Run `try` on a file in a terminal; gives its status and all that it shows."""
    ours, theirs = pty.openpty()
    chosen = {"TERM": "xterm-256color", **more}
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | chosen
    command = [*CLI, "try", "heap", "--set", "appId=11", file]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: _read(ours), b""))
        status = process.wait(timeout=PATIENCE)
    os.close(ours)
    return status, said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # whoever wrote to it has left
        return b""


def test_what_is_long_stays_on_one_line() -> None:
    """On few columns, or into a file: nothing that a program or `grep` looks for is broken up."""
    environment = {**os.environ, "COLUMNS": "30"}
    for arguments in (
        ["try", "heap", "--set", "appId=11", "--json", "messages.jsonl"],
        ["diff", "--from", "segment", "--to", "heap", "--json", "messages.jsonl"],
        ["schema", "heap", "--fields", "--json"],
        ["plugins", "--json"],
    ):
        command = [*CLI, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert all(json.loads(line) for line in done.stdout.splitlines())
    command = [*CLI, "privacy", "report", "messages.jsonl"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert re.search(r"^events +<names that are not shown> +1 +0 +1$", done.stdout, re.MULTILINE)
    long = ["try", "heap", "--set", "appId=11", "--settings", f"{'x' * 200}.json", "-"]
    done = subprocess.run(
        [*CLI, *long], env=environment, capture_output=True, text=True, check=False
    )
    assert len(done.stderr.splitlines()) == 1
