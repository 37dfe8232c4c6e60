"""A router process with a router.toml that delivers to a simulated Heap."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from command_line import run_command
from told_metrics import Metrics, metrics_of
from waiting import PATIENCE, free_port, json_lines, until

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
US, EU = "https://heapanalytics.com", "https://c.eu.heap-api.com"
DEAD = "http://127.0.0.1:9"


def toml(heap_url: str, *regions: str, eventlog: str = "", gateway: str = "") -> str:
    connections = "".join(
        f'[[connections]]\nname = "{region}"\nplugin = "heap"\n'
        f'settings = {{appId = "11", region = "{region}"}}\n'
        for region in regions or ("US",)
    )
    elsewhere = {"US": f'"{US}" = "{heap_url}"', "EU": f'"{EU}" = "{DEAD}"'}
    origins = ", ".join(elsewhere[region] for region in regions or ("US",))
    return (
        f'[gateway]\nwrite_keys = ["key"]\n{gateway}\n'
        f'[eventlog]\nurl = "sqlite:///router.db"\n{eventlog}\n'
        f'[delivery]\nfirst_wait = "10ms"\norigins = {{{origins}}}\n'
        f"{connections}"
    )


class Router:
    """A router process in a directory with a router.toml."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = ""
        self.said = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*CLI, "run", "--listen", f"127.0.0.1:{port}", *options]
        with (self.directory / "said.log").open("a") as said:
            self._process = subprocess.Popen(command, cwd=self.directory, stderr=said, text=True)
        until(self._answers)

    def send(self, *messages: object) -> int:
        answer = httpx.post(
            f"{self.url}/v1/batch", json={"batch": messages}, auth=("key", ""), timeout=PATIENCE
        )
        return answer.status_code

    def metrics(self) -> Metrics:
        return metrics_of(httpx.get(f"{self.url}/metrics", timeout=PATIENCE).text)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=PATIENCE)

    def lines(self) -> list[Any]:
        """What it logged: nothing but JSON."""
        return json_lines(self.directory / "said.log")

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "said.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == 200
        return False


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, cwd=directory)


def events(heap_url: str) -> list[str]:
    rows = httpx.get(f"{heap_url}/_simulator/events", timeout=PATIENCE).json()["events"]
    return [row["idempotency_key"] for row in rows]
