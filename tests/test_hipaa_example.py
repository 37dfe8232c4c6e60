"""The example of HIPAA mode runs as its page says, and shows what it promises."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "hipaa"
CLI = [sys.executable, "-m", "destination_router.commands.cli"]
VALUES = ("ada", "lovelace", "203.0.113.7", "mozilla", "a lump", "mrn", "oncology", "c50", "cancer")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("WRITE_KEY", "write-key")
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *command], cwd=folder, capture_output=True, text=True, check=False)


def test_every_command_of_its_page_works(folder: Path) -> None:
    """A reader who types what stands there gets no error and sees nothing personal."""
    page = (EXAMPLE / "README.md").read_text()
    commands = re.findall(
        r"^\$ destination-router ((?:check|try|privacy) .*?)(?: +#.*)?$", page, re.MULTILINE
    )
    assert len(commands) >= 3
    for command in commands:
        done = run(folder, command.split())
        assert done.returncode == 0, (command, done.stderr)
        assert not any(value in (done.stdout + done.stderr).lower() for value in VALUES), command


def test_the_report_proposes_lists(folder: Path) -> None:
    """The command of the page for lists to start from prints lists."""
    page = (EXAMPLE / "README.md").read_text()
    (command,) = re.findall(r"^\$ destination-router (privacy .* --toml)", page, re.MULTILINE)
    proposed = tomllib.loads(run(folder, command.split()).stdout)
    assert "Video Watched" in proposed["events"]
    done = run(folder, ["privacy", "report", "events.jsonl", "--toml"])
    assert "No name is proposed: fewer than 2 people sent each." in done.stderr


def test_the_check_tries_an_event_that_may_go_out(folder: Path) -> None:
    """One that the allowlists withhold would say nothing of the connection."""
    done = run(folder, ["check"])
    assert "heap  track  delivered  as the event Appointment Booked" in done.stdout
    (folder / "allow.toml").write_text("")
    done = run(folder, ["check"])
    assert "heap  track  filtered  privacy: the event is not on both allowlists" in done.stdout


def test_what_goes_out_is_what_the_lists_say(folder: Path) -> None:
    """The same person has one masked identity, whatever the casing; what is not listed stays."""
    done = run(folder, ["try", "--config", "router.toml", "--json", "events.jsonl"])
    told = list(map(json.loads, done.stdout.splitlines()))
    bodies = [request["json"] for decision in told for request in decision["requests"]]
    assert [decision["result"] for decision in told] == [
        "requests", "requests", "requests", "filtered", "filtered", "requests", "requests",
    ]  # fmt: skip
    assert len({body["identity"] for body in bodies if "identity" in body}) == 1
    assert bodies[1]["event"] == "Appointment Booked"
    assert bodies[1]["properties"].keys() == {"plan", "patient_id"}
    assert bodies[2]["properties"] == {"video.id": "v7", "duration_seconds": 93}


def test_without_its_key_nothing_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key stops the connection, never the protection."""
    monkeypatch.delenv("MASKING_KEY_1")
    for command in (["check"], ["run"], ["try", "--config", "router.toml", "events.jsonl"]):
        done = run(folder, command)
        assert done.returncode == 2
        assert "privacy.keys.v1: the environment variable MASKING_KEY_1 is not set" in done.stderr
