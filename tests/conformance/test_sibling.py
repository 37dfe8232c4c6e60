"""A sibling that somebody wrote by hand: five lines of tests, and the command without any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
from destination_router import HttpRequest, Identify, Reject, Track, hookimpl

@hookimpl
def settings_schema():
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["project"],
        "properties": {
            "project": {"title": "Project", "description": "Which one.", "type": "string"},
        },
    }

@hookimpl
def on_identify(message: Identify, settings):
    if message.user_id is None:
        raise Reject("missing_user", "send a userId", "userId")
    body = {"project": settings["project"], "user": message.user_id, "traits": message.traits}
    return [HttpRequest(url="https://vendor.example/users", json=body)]

@hookimpl
def on_track(message: Track, settings):
    if message.user_id is None:
        raise Reject("missing_user", "send a userId", "userId")
    if not (message.event or "").strip():
        raise Reject("missing_event", "send the event's name", "event")
    body = {
        "project": settings["project"],
        "user": message.user_id,
        "event": message.event,
        "properties": message.properties,
        "key": message.message_id,
    }
    return [HttpRequest(url="https://vendor.example/events", json=body)]
"""

CASES = """
{
  "description": "What a user did.",
  "defaults": { "settings": { "project": "p" } },
  "cases": [
    {
      "id": "track/key",
      "title": "The messageId is the key",
      "status": "stable",
      "level": "core",
      "source": { "decision": "The vendor drops repeats by it." },
      "message": { "type": "track", "messageId": "m-1", "userId": "ada", "event": "E" },
      "expect": {
        "requests": [
          {
            "url": "https://vendor.example/events",
            "json": { "project": "p", "user": "ada", "event": "E", "properties": {}, "key": "m-1" }
          }
        ]
      }
    }
  ]
}
"""

SUITE = """
from conformance import DestinationSuite

class TestMyDestination(DestinationSuite):
    destination = "my-destination"
    cases = "cases"
"""


@pytest.fixture
def sibling(tmp_path: Path) -> Path:
    """A distribution in a folder: a module, its metadata, its cases, its tests."""
    files = {
        "my_destination.py": PLUGIN,
        "my_destination-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-destination\n"
        "Version: 1.2\n",
        "my_destination-1.2.dist-info/entry_points.txt": "[destination_router]\n"
        "my-destination = my_destination\n",
        "cases/track.json": CASES,
        "test_my_destination.py": SUITE,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(sibling: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(sibling), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=sibling,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pytest_in(sibling: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sibling, "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments)


def conformance(sibling: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = (
        "import sys; from destination_router.commands.cli import main; "
        "sys.argv[1:] = ['conformance', *sys.argv[1:]]; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(sibling), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=sibling,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def break_it(sibling: Path) -> None:
    broken = PLUGIN.replace('"key": message.message_id', '"key": message.user_id')
    (sibling / "my_destination.py").write_text(broken, encoding="utf-8")


def test_five_lines_pass(sibling: Path) -> None:
    """One test for each check and each case, named by its id."""
    ran = pytest_in(sibling, "-v")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "TestMyDestination::test_case[track/key] PASSED" in ran.stdout
    assert "TestMyDestination::test_check[purity-no-io] PASSED" in ran.stdout
    assert "TestMyDestination::test_check[packing-order] SKIPPED" in ran.stdout


def test_broken_it_fails_readably(sibling: Path) -> None:
    """Rule, source, difference, command: and no traceback."""
    break_it(sibling)
    ran = pytest_in(sibling)
    assert ran.returncode == 1
    expected = (
        "track/key: The messageId is the key\n"
        "  decided: The vendor drops repeats by it.\n"
        '  requests.0.json.key: got "ada", expected "m-1"\n'
        "  rerun: destination-router conformance my-destination --case track/key\n"
    )
    assert expected in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_known_failure_is_told_and_then_has_to_go(sibling: Path) -> None:
    """Listed, it fails nothing; mended, it fails until it is off the list."""
    (sibling / "pyproject.toml").write_text(
        '[[tool.destination_router.conformance.known_failures]]\nid = "track/key"\n'
        'reason = "not yet"\nlink = "https://example.com/7"\n',
        encoding="utf-8",
    )
    mended = pytest_in(sibling)
    assert mended.returncode == 1
    assert "listed as a known failure: not yet (https://example.com/7)" in mended.stdout
    break_it(sibling)
    known = pytest_in(sibling, "-rx")
    assert known.returncode == 0, known.stdout
    assert "1 xfailed" in known.stdout


def test_a_mistake_in_a_case_is_told_before_any_test(sibling: Path) -> None:
    """A case file that cannot be used stops the run, with file and case."""
    (sibling / "cases" / "track.json").write_text(CASES.replace('"core"', '"major"'))
    ran = pytest_in(sibling)
    assert ran.returncode != 0
    assert "track.json: case track/key: level: 'major' is not one of" in ran.stdout + ran.stderr


def test_a_destination_that_is_not_installed(sibling: Path) -> None:
    """The first check says so; the rest is skipped."""
    (sibling / "test_my_destination.py").write_text(SUITE.replace("my-dest", "your-dest"))
    ran = pytest_in(sibling)
    assert ran.returncode == 1
    assert "no plugin called 'your-destination' is installed" in ran.stdout


def test_the_command_finds_the_cases_beside_the_module(sibling: Path) -> None:
    """No test file and no option are needed."""
    ran = conformance(sibling, "my-destination")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "my-destination of my-destination 1.2, conformance suite 1.0: success" in ran.stdout
    assert "1 case and " in ran.stdout


def test_the_command_fails_with_the_destination(sibling: Path) -> None:
    """Exit status 1, and the failure as pytest shows it."""
    break_it(sibling)
    ran = conformance(sibling, "my-destination")
    assert ran.returncode == 1
    assert '  requests.0.json.key: got "ada", expected "m-1"\n' in ran.stdout


def test_a_destination_that_does_not_import(sibling: Path) -> None:
    """A broken plugin is a failure, not a traceback."""
    (sibling / "my_destination.py").write_text("import nowhere_to_be_found\n")
    ran = conformance(sibling, "my-destination")
    assert ran.returncode == 1
    assert "does not import" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
