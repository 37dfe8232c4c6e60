"""`destination-router transformer` as people start it: a process, or several, on a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from waiting import PATIENCE


class Transformer:
    """A running transformer, and what it says."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "destination_router.commands.cli", "transformer"]
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
        return self.children(b"spawn_main")

    def children(self, part: bytes) -> set[int]:
        """Find the processes that it started with this in their command line."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
        return {int(pid) for pid in children if part in _command_line(pid)}

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
