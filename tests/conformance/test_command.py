"""`destination-router conformance`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result
from waiting import INTERRUPTIBLE

from conformance.command import FAILED, conformance
from conformance.mutants import Mutant, score
from conformance.mutants.heap import PLUGIN
from destination_router.commands.other_commands import COMMANDS


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("conformance")(conformance)
    return CliRunner().invoke(app, list(arguments))


def test_the_router_finds_it() -> None:
    """The command is contributed: the router does not import the suite."""
    (found,) = (point for point in entry_points(group=COMMANDS) if point.name == "conformance")
    assert found.load() is conformance


def test_heap_passes() -> None:
    """No failure, at least 150 cases, and a summary."""
    ran = run("heap")
    assert ran.exit_code == 0, ran.output
    first, second = ran.stdout.split("\n")[:2]
    assert first.startswith("heap of heap-destination ")
    assert int(second.split()[0]) >= 150
    assert "passed" in second


def test_one_case() -> None:
    """`--case` runs one case or check."""
    assert "1 case and 0 checks: 1 passed" in run("heap", "--case", "syft/message-id").stdout
    assert "0 cases and 1 check: 1 passed" in run("heap", "--case", "check/purity-no-io").stdout


@pytest.mark.parametrize(("new", "status"), [("# nothing\n", FAILED), ("raise KeyError\n", 0)])
def test_a_defect_that_nothing_catches_fails(
    monkeypatch: pytest.MonkeyPatch, new: str, status: int
) -> None:
    """The cases of a destination that passes them all may still be too few."""
    line = "EventMessage: TypeAlias"
    mutant = Mutant(id="one", description="x", module="calls", old=line, new=new + line)
    monkeypatch.setattr(score, "WITH_CASES", {"heap": ((mutant,), PLUGIN)})
    ran = run("heap", "--mutants", "--case", "check/requests-serialisable")
    assert ran.exit_code == status, ran.output
    assert ("missed: one" in ran.stdout) == (status == FAILED)


def test_what_it_writes(tmp_path: Path) -> None:
    """JSON by its published schema, HTML, a badge; folders are made."""
    paths = {name: tmp_path / "new" / name for name in ("r.json", "r.html", "b.svg")}
    ran = run(
        "heap",
        *("--json", str(paths["r.json"])),
        *("--html", str(paths["r.html"])),
        *("--badge", str(paths["b.svg"])),
        "--markdown",
    )
    assert ran.exit_code == 0, ran.output
    schema = files("conformance").joinpath("schema", "report.v1.json").read_bytes()
    report = json.loads(paths["r.json"].read_bytes())
    Draft202012Validator(json.loads(schema)).validate(report)
    assert report["destination"]["name"] == "heap"
    assert sum(report["summary"].values()) == len(report["results"])
    assert ran.stdout.startswith("## heap of heap-destination ")
    assert "| syft | " in ran.stdout
    assert paths["r.html"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert paths["b.svg"].read_text(encoding="utf-8").startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("haep",), "no plugin called 'haep' is installed; did you mean 'heap'?"),
        (("heap", "--case", "syft/mesage-id"), "did you mean syft/message-id?"),
        (("heap", "--cases", "nowhere"), "nowhere: there are no case files"),
        (("heap", "--json", "/dev/null/r.json"), "/dev/null/r.json cannot be written"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], told: str) -> None:
    """Exit status 2, and on standard error what to do."""
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert told in ran.stderr
    assert ran.stdout == ""


INTERRUPTED_BY_ITS_OWN_DESTINATION = """
import os, signal
from destination_router import HttpRequest, hookimpl

@hookimpl
def settings_schema():
    return {"title": "T", "description": "D", "type": "object", "additionalProperties": False}

@hookimpl
def on_identify(message):
    return [HttpRequest(url="https://vendor.example/", json={"id": message.message_id})]

@hookimpl
def on_track(message):
    os.kill(os.getpid(), signal.SIGINT)
    return []
"""


def test_ctrl_c_says_how_far_it_came(tmp_path: Path) -> None:
    """One plain line, status 1, and no report that looks like a whole one."""
    (tmp_path / "long.py").write_text(INTERRUPTED_BY_ITS_OWN_DESTINATION)
    metadata = tmp_path / "long-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: long\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[destination_router]\nlong = long\n")
    done = subprocess.run(
        [*INTERRUPTIBLE, sys.executable, "-m", "destination_router_start", "conformance", "long"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    told = r"Interrupted after \d+ of \d+ cases and checks, of which \d+ failed; no report\.\n"
    assert re.fullmatch(told, done.stderr), done.stderr
