"""Each example in a folder of its own, with the commands of the environment that runs the tests.

`scripts/test-hosts` makes that environment: the wheel, and what the hosts are made of.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def until_it_answers(url: str) -> httpx.Response:
    """Wait for a server; a minute at most."""
    by = time.monotonic() + 60
    while time.monotonic() < by:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url)
        time.sleep(0.05)
    raise TimeoutError(url)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command of the environment, and end it with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(command: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([BIN / command, *arguments], cwd=tmp_path)
        running.append(process)
        return process

    yield run
    for process in running:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture
def simulate(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., str]:
    """Start a vendor's stand-in; gives its URL."""

    def run(plugin: str, *more: str) -> str:
        port = free_port()
        start("destination-router", "simulate", plugin, "--listen", f"127.0.0.1:{port}", *more)
        url = f"http://127.0.0.1:{port}"
        until_it_answers(f"{url}/_simulator/events")
        return url

    return run


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], Path]:
    """Copy an example out of the clone."""

    def copy(name: str) -> Path:
        shutil.copytree(EXAMPLES / name, tmp_path, dirs_exist_ok=True)
        return tmp_path

    return copy
