"""Destinations in other languages: through the suite, and behind a router with a real process.

Modules: `service/connections.py`.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from router_process import Router
from small_program import runs, speaks
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from waiting import until

ROOT = Path(__file__).parent.parent
NODE = ROOT / "examples" / "node_destination"
GO = ROOT / "examples" / "go_destination"
SCAFFOLD = ROOT / "destination_router" / "scaffold" / "my-node-destination"
Serve = Callable[[Any], str]


def conformance(folder: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run_command("conformance", "--command", command, *options, cwd=folder)


@pytest.fixture(params=["node", "go"])
def example(request: pytest.FixtureRequest) -> tuple[str, Path, list[str]]:
    """Its name, its folder, and the command that starts it there."""
    if request.param == "node":
        node: str = request.getfixturevalue("node")
        return "node-events", NODE, [node, "main.mjs"]
    return "go-events", GO, [request.getfixturevalue("go_events")]


def test_an_example_passes_the_suite(example: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    """All that can be seen of it; what cannot is not said to pass, and the badge is green."""
    name, folder, command = example
    report, badge = tmp_path / "report.json", tmp_path / "badge.svg"
    options = ("--json", str(report), "--badge", str(badge))
    done = conformance(folder, " ".join(command), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert told["result"] == "success"
    assert told["destination"] == {
        "name": name,
        "distribution": name,
        "version": "0.1.0",
        "command": command,
    }
    unseen = {each["id"] for each in told["results"] if each["result"] == "unobservable"}
    assert unseen == {
        "check/purity-no-io",
        "check/purity-input-unchanged",
        "check/packing-input-unchanged",
    }
    assert "100%" in badge.read_text()
    site = tmp_path / "site"
    drawn = run_command("conformance", "matrix", str(report), "--html", str(site), cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    told_how = escape(f"conformance --command {shlex.quote(' '.join(command))}")
    assert told_how in (site / "index.html").read_text()


def test_a_program_that_fails_shows_what_it_wrote(tmp_path: Path) -> None:
    """On standard error, at the end; its failures name the command that runs them again."""
    answer = """
        if asked["call"] == "map":
            print("cannot find module x", file=sys.stderr, flush=True)
            os._exit(1)
        return ordinary(asked)
    """
    command = " ".join(speaks(tmp_path, answer))
    done = conformance(tmp_path, command, "--case", "check/requests-serialisable")
    assert done.returncode == 1
    assert "cannot find module x" in done.stderr
    assert "the program ended with status 1" in done.stdout
    assert f"conformance --command '{command}' --case check/requests-serialisable" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name one destination: NAME, --command with what starts it"),
        (("heap", "--command", "node x.mjs"), "name one destination"),
        (("--command", "'node"), "--command: No closing quotation"),
        (("--command", " "), "--command names no program"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Says what to type."""
    done = run_command("conformance", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_program_that_does_not_start_fails_once(tmp_path: Path) -> None:
    """With the reason; the rest is skipped."""
    done = conformance(tmp_path, "/no/such/program")
    assert done.returncode == 1
    assert "cannot be started: No such file or directory" in done.stdout
    assert "1 failed" in done.stdout


def test_the_scaffold_and_the_example_speak_the_same() -> None:
    """The protocol is written once."""
    for name in ("serve.mjs", "json.mjs", "test/json.test.mjs"):
        assert (SCAFFOLD / name).read_text() == (NODE / name).read_text()


def test_new_writes_a_program(tmp_path: Path, node: str) -> None:
    """`new --language node` writes a destination that passes its own tests and the suite."""
    done = run_command("new", "acme-destination", "--language", "node", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "npm test" in done.stderr
    folder = tmp_path / "acme-destination"
    assert json.loads((folder / "package.json").read_text())["name"] == "acme-destination"
    assert "my-destination" not in "".join(
        path.read_text() for path in folder.rglob("*") if path.is_file()
    )
    own = subprocess.run(
        [node, "--test", *map(str, folder.glob("test/*.test.mjs"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert own.returncode == 0, own.stdout
    ran = conformance(folder, f"{node} main.mjs")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("acme of acme 0.1.0, conformance suite")


def test_plugins_shows_a_program(tmp_path: Path) -> None:
    """What it is called, and what it can do; or why it cannot be used."""
    command = " ".join(speaks(tmp_path))
    shown = run_command("plugins", "--json", "--command", command, cwd=tmp_path)
    (told,) = json.loads(shown.stdout)
    assert told["name"] == "small"
    assert told["capabilities"] == ["settings_schema", "on_identify", "on_track"]
    broken = run_command("plugins", "--command", "/no/such/program", cwd=tmp_path)
    assert "cannot be started: No such file" in broken.stdout


def test_pytest_runs_a_program(tmp_path: Path) -> None:
    """A suite with a command; what cannot be seen is skipped as that, not passed."""
    command = tuple(speaks(tmp_path))
    (tmp_path / "test_small.py").write_text(
        "from conformance import DestinationSuite\n\n\n"
        f"class TestSmall(DestinationSuite):\n    command = {command!r}\n"
    )
    options = ("-q", "-rs", "-p", "no:cacheprovider", "-k", "purity or schema")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "unobservable: the files, sockets and clocks" in done.stdout
    assert "5 passed, 2 skipped" in done.stdout


# -- behind a router -------------------------------------------------------------------------------


class Vendor:
    """Notes the records that it gets, by id."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> JSONResponse:
        body = json.loads(await request.body())
        taken = next(iter(body.values())) if len(body) == 1 else [body]
        self.records += taken
        return JSONResponse({})

    @property
    def ids(self) -> list[str]:
        return sorted(record.get("id") or record["messageId"] for record in self.records)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def connections(*tables: str, origins: dict[str, str]) -> str:
    elsewhere = ", ".join(f'"{origin}" = "{url}"' for origin, url in origins.items())
    return (
        '[gateway]\nwrite_keys = ["key"]\n[eventlog]\nurl = "sqlite:///router.db"\n'
        f'[delivery]\nfirst_wait = "10ms"\nlongest_wait = "50ms"\norigins = {{{elsewhere}}}\n'
        + "".join(f"[[connections]]\n{table}\n" for table in tables)
    )


def track(number: int, event: str = "E") -> dict[str, Any]:
    return {"type": "track", "userId": f"u-{number % 5}", "event": event, "messageId": f"m{number}"}


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def process_of(router: Router) -> int:
    process = router._process
    assert process is not None
    return process.pid


def test_an_example_behind_the_router(
    example: tuple[str, Path, list[str]], router: Router, serve: Serve
) -> None:
    """Sent, mapped by the program, packed by it, delivered once each; it ends with the router."""
    name, folder, command = example
    vendor = Vendor()
    table = (
        f'name = "{name}"\nplugin = {{command = {json.dumps(command)}, folder = "{folder}"}}\n'
        'settings = {apiKey = "an-api-key"}'
    )
    origins = {f"https://api.{name}.example": serve(vendor.app)}
    (router.directory / "router.toml").write_text(connections(table, origins=origins))
    checked = run_command("check", cwd=router.directory)
    assert checked.returncode == 0, checked.stderr
    router.start()
    assert router.send(*map(track, range(120))) == 200
    until(lambda: len(vendor.records) == 120)
    assert vendor.ids == sorted(f"m{number}" for number in range(120))
    started = children(process_of(router))
    assert len(started) >= 1
    assert router.stop() == 0
    assert not any(map(runs, started))


def test_a_silent_program_holds_its_connection_and_no_other(
    router: Router, serve: Serve, tmp_path: Path
) -> None:
    """Its neighbour delivers meanwhile; once it answers, its events go out, none lost."""
    go = tmp_path / "go"
    go.touch()
    answer = f"""
        if asked["call"] == "map" and not os.path.exists({str(go)!r}):
            os._exit(7)
        return ordinary(asked)
    """
    silent, neighbour = tmp_path / "silent", tmp_path / "neighbour"
    silent.mkdir()
    neighbour.mkdir()
    vendor, other = Vendor(), Vendor()
    tables = [
        f'name = "silent"\nplugin = {{command = {json.dumps(speaks(silent, answer))}}}',
        f'name = "small"\nplugin = {{command = {json.dumps(speaks(neighbour, other_vendor()))}}}',
    ]
    origins = {
        "https://vendor.example": serve(vendor.app),
        "https://other.example": serve(other.app),
    }
    (router.directory / "router.toml").write_text(connections(*tables, origins=origins))
    router.start()
    go.unlink()
    # A hello that fails is nobody's fault: nothing is given up, however long it lasts.
    program = silent / "small.py"
    good = program.read_text()
    program.write_text("raise SystemExit(7)")
    assert router.send(*map(track, range(20))) == 200
    until(lambda: len(other.records) == 20)
    held = 'router_held{code="plugin_unavailable",connection="silent"}'
    until(lambda: router.metrics().get(held) == 1)
    assert vendor.records == []
    go.touch()
    program.write_text(good)
    until(lambda: len(vendor.records) == 20)
    until(lambda: router.metrics()[held] == 0)
    words = [line["event"] for line in router.lines() if line.get("connection") == "silent"]
    assert words[0] == "connection_held"
    assert words[-1] == "connection_goes_on"
    assert router.stop() == 0


def other_vendor() -> str:
    return """
        told = ordinary(asked)
        if asked["call"] == "map":
            for each in told["value"]:
                for request in each["requests"]:
                    request["url"] = "https://other.example/events"
        return told
    """


def test_a_router_that_is_killed_takes_its_programs_along(
    router: Router, serve: Serve, tmp_path: Path
) -> None:
    """Whether they heed the end of their input or not; what was accepted is delivered after."""
    vendor = Vendor()
    program = tmp_path / "program"
    program.mkdir()
    stuck = tmp_path / "stuck"
    answer = f"""
        if asked["call"] == "map" and not os.path.exists({str(stuck)!r}):
            open({str(stuck)!r}, "w").write(str(os.getpid()))
            while True: pass
        return ordinary(asked)
    """
    table = f'name = "small"\nplugin = {{command = {json.dumps(speaks(program, answer))}}}'
    origins = {"https://vendor.example": serve(vendor.app)}
    (router.directory / "router.toml").write_text(connections(table, origins=origins))
    router.start()
    assert router.send(*map(track, range(5))) == 200
    until(lambda: stuck.exists() and stuck.read_text())
    pid = int(stuck.read_text())
    assert runs(pid)
    os.kill(process_of(router), signal.SIGKILL)
    until(lambda: not runs(pid))
    router.end()
    router.start()
    until(lambda: len(vendor.records) == 5)
    assert router.stop() == 0


def programs_of(router: Router) -> list[int]:
    """The processes of its programs, without the shells that watch over them."""
    return [
        pid
        for pid in children(process_of(router))
        if b"small.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_a_program_that_is_killed_now_and_then_loses_nothing(
    router: Router, serve: Serve, tmp_path: Path
) -> None:
    """Whoever kills it, it is started again; every event is delivered once."""
    vendor = Vendor()
    program = tmp_path / "program"
    program.mkdir()
    table = f'name = "small"\nplugin = {{command = {json.dumps(speaks(program))}}}'
    origins = {"https://vendor.example": serve(vendor.app)}
    (router.directory / "router.toml").write_text(connections(table, origins=origins))
    router.start()
    for start in range(0, 1000, 200):
        assert router.send(*map(track, range(start, start + 200))) == 200
        until(lambda: len(vendor.records) > start)  # noqa: B023 -- it is waited for here
        for pid in programs_of(router):
            os.kill(pid, signal.SIGKILL)
    until(lambda: len(vendor.records) == 1000)
    assert vendor.ids == sorted(f"m{number}" for number in range(1000))
    assert router.stop() == 0


def test_a_reload_starts_a_program_anew(router: Router, serve: Serve, tmp_path: Path) -> None:
    """One whose connection changed ends, and its successor goes on; nothing is left behind."""
    vendor = Vendor()
    program = tmp_path / "program"
    program.mkdir()
    command = json.dumps(speaks(program))
    origins = {"https://vendor.example": serve(vendor.app)}
    table = f'name = "small"\nplugin = {{command = {command}, timeout = "TIMEOUT"}}'
    text = connections(table, origins=origins)
    (router.directory / "router.toml").write_text(text.replace("TIMEOUT", "10s"))
    router.start()
    router.send(track(1))
    until(lambda: len(vendor.records) == 1)
    (before,) = programs_of(router)
    (router.directory / "router.toml").write_text(text.replace("TIMEOUT", "9s"))
    os.kill(process_of(router), signal.SIGHUP)
    until(lambda: any(line["event"] == "reloaded" for line in router.lines()))
    assert not runs(before)
    router.send(track(2))
    until(lambda: len(vendor.records) == 2)
    (after,) = programs_of(router)
    assert after != before
    assert router.stop() == 0
    assert not runs(after)


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ("{}", "connections.0.plugin.command"),
        ("{command = []}", "connections.0.plugin.command"),
        ('{command = ["node"], shell = true}', "plugin.shell"),
        ('{command = ["node"], timeout = "soon"}', "plugin.timeout"),
        ("7", "connections.0.plugin"),
        ('" "', "connections.0.plugin"),
        ('{command = ["/no/such/program"]}', "cannot be started: No such file"),
    ],
)
def test_a_table_that_names_no_program(tmp_path: Path, plugin: str, words: str) -> None:
    """`check` names the key, and what the system says."""
    table = f'name = "small"\nplugin = {plugin}'
    (tmp_path / "router.toml").write_text(connections(table, origins={}))
    done = run_command("check", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr.replace("connections small", "connections.0") or re.search(
        words.rpartition(".")[2], done.stderr
    )


def test_try_and_send_take_it_from_a_router_toml(tmp_path: Path, serve: Serve) -> None:
    """As they take any other connection; the transformer says why it does not."""
    vendor = Vendor()
    table = f'name = "small"\nplugin = {{command = {json.dumps(speaks(tmp_path))}}}'
    origins = {"https://vendor.example": serve(vendor.app)}
    (tmp_path / "router.toml").write_text(connections(table, origins=origins))
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(track(n)) + "\n" for n in range(30)))
    tried = run_command("try", "--config", "router.toml", "--json", "m.jsonl", cwd=tmp_path)
    assert tried.returncode == 0, tried.stderr
    assert [json.loads(line)["result"] for line in tried.stdout.splitlines()] == ["requests"] * 30
    sent = run_command("send", "--config", "router.toml", "m.jsonl", cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert vendor.ids == sorted(f"m{number}" for number in range(30))
    refused = run_command("transformer", "--config", "router.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "a program is asked by `run`" in refused.stderr


def test_node_and_go_are_there_where_nothing_may_be_skipped() -> None:
    """CI installs both."""
    if os.environ.get("CI") == "true":
        assert shutil.which("node")
        assert shutil.which("go")
