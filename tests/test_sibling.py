"""A stranger's destination of 20 lines, installed with pip, is at home in the router."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SIBLING = Path(__file__).parent / "siblings" / "postbox"
MESSAGES = """\
{"type": "identify", "userId": "ada", "messageId": "m1", "traits": {"role": "mathematician"}}
{"type": "track", "userId": "ada", "messageId": "m2", "event": "Program Published"}
{"type": "page", "userId": "ada", "messageId": "m3", "name": "Docs"}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the sibling with pip, and say in which environment it can be used."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *options, str(SIBLING)], check=True)
    return {**os.environ, "PYTHONPATH": str(target)}


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    path = tmp_path / "messages.jsonl"
    path.write_text(MESSAGES)
    return path


def router(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "destination_router.commands.cli", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_it_is_at_most_twenty_lines() -> None:
    """A working destination takes 20 lines of code."""
    code = (SIBLING / "postbox.py").read_text().split('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_plugins_shows_it(installed: dict[str, str]) -> None:
    """An installed sibling is found beside Heap, with what it can do."""
    done = router(installed, "plugins", "--json")
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert {"heap", "postbox"} <= found.keys()
    assert found["postbox"] == {
        "name": "postbox",
        "origin": "postbox-destination 1.0.0",
        "capabilities": ["settings_schema", "on_identify", "on_track"],
        "error": None,
    }


def test_try_explains_it(installed: dict[str, str], messages: Path) -> None:
    """Its requests are shown with its secret hidden; a call that it lacks is filtered."""
    arguments = ["try", "postbox", "--set", "token=hunter22", "--json", str(messages)]
    done = router(installed, *arguments)
    assert done.returncode == 0, done.stderr
    identify, track, page = map(json.loads, done.stdout.splitlines())
    assert identify["requests"] == [
        {
            "method": "POST",
            "url": "https://postbox.example/users",
            "params": {},
            "headers": {},
            "json": {"who": "ada", "traits": {"role": "mathematician"}, "token": "***"},
        }
    ]
    assert track["requests"][0]["json"] == {"what": "Program Published", "properties": {}}
    assert (page["result"], page["reason"]) == ("filtered", "postbox has no use for page calls")


def test_send_sends_it(installed: dict[str, str], messages: Path, recorder_url: str) -> None:
    """`send` delivers through it, to wherever its origin is sent."""
    origin = f"https://postbox.example={recorder_url}"
    done = router(installed, "send", "postbox", "--origin", origin, "--json", str(messages))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["messages"], summary["delivered"], summary["filtered"]) == (3, 2, 1)


def test_demo_needs_nothing_more(installed: dict[str, str]) -> None:
    """A destination without a simulator gets a demo all the same."""
    done = router(installed, "demo", "postbox", "--json")
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)["held"]
    assert {request["path"] for request in held["requests"]} == {"/users", "/events"}
