"""The processes that are measured: a router without quotas, and a simulated Heap without limits.

Heap's documented limits would measure Heap: with them, 250 events a second per app are the most
(`benchmarks/quotas.py` shows how much of that is used). Everything else is as `run` runs it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

WRITE_KEY = "benchmark"
CONFIG = """
[gateway]
listen = "127.0.0.1:{port}"
write_keys = ["{key}"]
[eventlog]
url = "sqlite:///router.db"
[delivery]
origins = {{"https://heapanalytics.com" = "{heap}"}}
[[connections]]
name = "heap"
plugin = "heap"
settings = {{appId = "11"}}
"""
_UNLIMITED = (
    "import heap_destination.plugin as plugin; del plugin.quotas; "
    "from destination_router.commands.cli import main; main()"
)
_POLL = 0.01


def until(condition: Callable[[], object], seconds: float = 3600.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL)


@contextlib.contextmanager
def simulator() -> Iterator[httpx.Client]:
    """A simulated Heap in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "heap_destination.simulator",
        "--listen",
        "127.0.0.1:0",
        "--no-rate-limits",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None  # noqa: S101 -- for the type checker
            url = process.stdout.readline().split()[-1]
            with httpx.Client(base_url=url, timeout=600) as client:
                yield client
        finally:
            process.kill()


@contextlib.contextmanager
def router(directory: Path, heap: httpx.Client, more: str = "") -> Iterator[httpx.Client]:
    """As `router_process`, for who needs no more than its HTTP."""
    with router_process(directory, heap, more) as (_, client):
        yield client


@contextlib.contextmanager
def router_process(
    directory: Path, heap: httpx.Client, more: str = ""
) -> Iterator[tuple[int, httpx.Client]]:
    """A router in a process of its own, on the log in a directory; ready. Gives its number, too.

    Args:
        directory: where its files are.
        heap: what it sends to.
        more: what else its router.toml says, of the connection first.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = str(heap.base_url).rstrip("/")
    (directory / "router.toml").write_text(CONFIG.format(port=port, key=WRITE_KEY, heap=url) + more)
    command = [sys.executable, "-c", _UNLIMITED, "run"]
    with (
        (directory / "router.log").open("a") as said,
        subprocess.Popen(command, cwd=directory, stderr=said) as process,  # noqa: S603
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        try:
            until(lambda: _ready(client), 60)
            yield process.pid, client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def cpu(pid: int) -> float:
    """Tell what a process, and those that it started, have used so far, in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return own + sum(cpu(int(child)) for child in children)


def resident(pid: int) -> float:
    """Tell how much memory a process, and those that it started, hold, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    own = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return own + sum(resident(int(child)) for child in children)


def metrics(client: httpx.Client) -> dict[str, float]:
    """What a router says of itself."""
    lines = re.findall(r"^([a-z]\S*) (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def stored(heap: httpx.Client) -> int:
    """How many events a simulated Heap holds."""
    return int(heap.get("/_simulator/stats").json()["events_stored"])


def _ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/ready").status_code == httpx.codes.OK
    return False
