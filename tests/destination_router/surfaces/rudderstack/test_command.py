"""`destination-router transformer` as people start it: a process, or several, on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import until

PATIENCE = 60


class Transformer:
    """A running transformer, and what it says."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "destination_router.surfaces.cli", "transformer"]
        self.process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", *options], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.url = ""
        self.before: list[dict[str, Any]] = []
        for line in iter(self.process.stderr.readline, ""):
            if not line.startswith("{"):
                self.url = line.rstrip().rpartition("=")[2]
                break
            self.before.append(json.loads(line))

    def ask(self, *events: dict[str, Any], **config: Any) -> list[dict[str, Any]]:
        jobs = [
            {
                "message": event,
                "metadata": {"jobId": number},
                "destination": {"ID": "d1", "Name": "shop", "Config": {"appId": "11", **config}},
            }
            for number, event in enumerate(events)
        ]
        answer = httpx.post(f"{self.url}/v0/destinations/heap", json=jobs, timeout=PATIENCE)
        answers: list[dict[str, Any]] = answer.json()
        return answers

    def workers(self) -> set[int]:
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
        return {int(pid) for pid in children if b"spawn_main" in _command_line(pid)}

    def stop(self) -> list[dict[str, Any]]:
        """End it as a service manager does; gives its log."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=PATIENCE)
        return [*self.before, *(json.loads(line) for line in log.splitlines())]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


@pytest.fixture
def start() -> Iterator[Callable[..., Transformer]]:
    started: list[Transformer] = []

    def begin(*options: str) -> Transformer:
        started.append(Transformer(*options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.stop()


ANONYMOUS = {"type": "track", "anonymousId": "a-1", "event": "E"}


@pytest.mark.parametrize("name", ["d1", "shop"])
def test_a_configuration_adds_to_a_destination(
    start: Callable[..., Transformer], tmp_path: Path, name: str
) -> None:
    """A connection with the id or name of a destination gives it settings that it does not have."""
    config = tmp_path / "router.toml"
    config.write_text(
        f'[[connections]]\nname = "{name}"\nplugin = "heap"\n'
        '[connections.settings]\nappId = "99"\nanonymousEvents = "stitch"\n'
        '[delivery]\norigins = {"https://heapanalytics.com" = "http://127.0.0.1:9"}\n'
    )
    running = start("--config", str(config))

    (added,) = running.ask(ANONYMOUS)
    (own,) = running.ask(ANONYMOUS, anonymousEvents="reject")

    assert added["output"]["endpoint"] == "http://127.0.0.1:9/api/track"
    body = added["output"]["body"]["JSON"]
    assert (body["app_id"], "user_id" in body) == ("11", True)
    assert own["statusCode"] == 400


@pytest.mark.parametrize("content", ["name = 5", 'name = "d1"\nplugin = "Heap"'])
def test_a_configuration_that_cannot_be_used_ends_it_at_once(tmp_path: Path, content: str) -> None:
    """Whoever starts it is told which field is wrong, and nothing listens."""
    config = tmp_path / "router.toml"
    config.write_text(f"[[connections]]\n{content}\n")
    command = [sys.executable, "-m", "destination_router.surfaces.cli", "transformer"]
    done = subprocess.run(
        [*command, "--config", str(config), "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "connections" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_only_run_does_is_told(start: Callable[..., Transformer], tmp_path: Path) -> None:
    """A quarantine that somebody relies on does not stay away in silence."""
    config = tmp_path / "router.toml"
    config.write_text(
        '[[connections]]\nname = "d1"\nplugin = "heap"\n'
        "[quarantine]\nanonymous_ids = 5\n[delivery]\nlinger = 1\n"
    )
    running = start("--config", str(config))

    (line,) = running.stop()

    assert (line["event"], line["keys"]) == ("config_not_used", ["delivery.linger", "quarantine"])


def test_several_processes_answer_and_one_that_dies_is_replaced(
    start: Callable[..., Transformer],
) -> None:
    """As many as asked for, before and after one is killed; none is left after the end."""
    running = start("--workers", "2")
    until(lambda: len(running.workers()) == 2)
    before = running.workers()
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(running.workers()) == 2 and killed not in running.workers())
    after = running.workers()

    assert [one["statusCode"] for one in running.ask(ANONYMOUS)] == [200]
    log = running.stop()

    assert [(line["event"], line["status"]) for line in log] == [("worker_ended", -9)]
    assert running.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in before | after)


def test_its_log_is_one_json_object_a_line_without_values(
    start: Callable[..., Transformer],
) -> None:
    """As that of `run`: what is left out is named by its key, once for each configuration."""
    running = start()
    running.ask(ANONYMOUS, ANONYMOUS, trackingPlan="ada@example.com")

    (line,) = running.stop()

    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "config_keys_left_out",
        "plugin": "heap",
        "keys": ["trackingPlan"],
    }
