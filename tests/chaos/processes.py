"""The processes of a chaos run: a simulated Heap, and a router that is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

PYTHON = sys.executable
STARTED_WITHIN = 180.0
POLL = 0.02
WORKER_KILLS = 0.6
"""Which share of the kills hits a worker, of a router that has any."""


@contextlib.contextmanager
def simulator() -> Iterator[str]:
    """A simulated Heap in a process of its own; its base URL."""
    command = [PYTHON, "-m", "heap_destination.simulator"]
    command += ["--listen", "127.0.0.1:0", "--no-rate-limits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


class Router:
    """One router process, or the part of a router that a process is: killed and started at will.

    Args:
        directory: holds router.toml; the log and what the process says are put there.
        port: where it answers.
        options: `--gateway-only`, `--workers-only` or `--workers N`, or none.
    """

    def __init__(self, directory: Path, port: int, *options: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.said = directory / f"router{''.join(options)}.log"
        self._directory = directory
        self._command = [
            *(PYTHON, "-m", "destination_router.commands.cli", "run", "--config", "router.toml"),
            *("--listen", f"127.0.0.1:{port}", *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.worker_kills = 0

    def start(self) -> None:
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(self._command, cwd=self._directory, stderr=said)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def kill_worker(self, chance: random.Random) -> bool:
        """Kill one of the processes that it started to deliver; False if there is none now."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        if not children:
            return False
        with contextlib.suppress(ProcessLookupError):  # it was about to end by itself
            os.kill(int(chance.choice(sorted(children))), signal.SIGKILL)
        self.worker_kills += 1
        return True

    def stop(self) -> int:
        """SIGTERM; how it ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=STARTED_WITHIN)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def ready(self, client: httpx.AsyncClient) -> None:
        async with asyncio.timeout(STARTED_WITHIN):
            while True:
                assert self.alive, (self._process, self.said.read_text()[-2000:])
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/ready")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(POLL)

    async def metrics(self, client: httpx.AsyncClient) -> dict[str, float]:
        text = (await client.get(f"{self.url}/metrics")).text
        return {
            name: float(value)
            for name, value in re.findall(r"^([a-z]\S*) (\S+)$", text, re.MULTILINE)
        }


def router_command(directory: Path, *arguments: str) -> Any:
    """Run a command of the router's; what it printed."""
    command = [PYTHON, "-m", "destination_router.commands.cli", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
