"""The processes of a chaos run: a simulated Heap, and a router that is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from kills import Kill
from told_metrics import Metrics, metrics_of

PYTHON = sys.executable
STARTED_WITHIN = 600.0
"""What takes longer hangs: a start takes a second, and one and a half minutes where forty processes
share two cores."""

POLL = 0.02


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

    async def kill_worker(self, place: int) -> None:
        """Kill one of the processes that it started to deliver, the oldest at place 0.

        It waits until there is one: after a few deaths in a row, the next takes a minute to come.
        """
        async with asyncio.timeout(STARTED_WITHIN):
            while True:
                assert self.alive, (self._process, self.said.read_text()[-2000:])
                if at_work := self._workers():
                    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                        os.kill(at_work[place % len(at_work)], signal.SIGKILL)
                        self.worker_kills += 1
                        return
                await asyncio.sleep(POLL)

    def _workers(self) -> list[int]:
        """Find the processes that it started and that have not ended, by age."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if _works(pid)]

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

    async def metrics(self, client: httpx.AsyncClient) -> Metrics:
        return metrics_of((await client.get(f"{self.url}/metrics")).text)


async def carry_out(kill: Kill, routers: list[Router], client: httpx.AsyncClient) -> None:
    """Kill what a plan says; a router is started again, and starts its workers by itself."""
    router = routers[kill.router]
    if kill.worker is not None:
        await router.kill_worker(kill.worker)
        return
    router.kill()
    router.start()
    await router.ready(client)


def _works(pid: int) -> bool:
    """Say whether a process has not ended, though its parent may not know that yet."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in {"Z", "X"}
    return False


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
