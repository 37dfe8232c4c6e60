"""What tests of real processes need: a port to give them, and to wait for what they do or write."""

import fcntl
import functools
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_HEED = (
    "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
INTERRUPTIBLE = [sys.executable, "-c", _HEED]
"""What stands before a command that shall heed Ctrl-C, which shells let nothing in their background
do, nor tests that run there."""


PATIENCE = 300.0
"""How long whatever is waited for may take, in seconds: what takes longer hangs. On a quiet machine
nothing takes a tenth of it. Where forty processes share two cores, Python alone takes half a minute
to start a router."""

_NOT_GIVEN_AWAY = range(20_000, 32_000)
_NOBODY = socket.socket()
_PORTS = Path(tempfile.gettempdir()) / f"destination-router-ports-{os.getuid()}"
_CLAIMS: list[IO[str]] = []


@functools.cache
def closed_port() -> int:
    """A port of loopback that refuses every connection for as long as this process lives.

    It is bound, so that no other server of the tests gets it, and nobody listens on it.
    """
    _NOBODY.bind(("127.0.0.1", 0))
    port: int = _NOBODY.getsockname()[1]
    return port


def free_port() -> int:
    """A port of loopback to listen on; whoever needs a closed one takes `closed_port`.

    It lies below those that the system gives away by itself, and no other process of the tests gets
    it while this one lives, so that nobody else takes it before it is listened on.
    """
    _PORTS.mkdir(exist_ok=True)
    while True:
        port = secrets.choice(_NOT_GIVEN_AWAY)
        claim = (_PORTS / str(port)).open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return port


def json_lines(path: Path) -> list[Any]:
    """What a file holds that another process may be writing: only the lines that are whole."""
    written, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in written.splitlines()]


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition. What does not come to pass within `PATIENCE` fails the test."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
