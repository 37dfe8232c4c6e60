"""What tests of real processes need: a port to give them, and to wait for what they do."""

import socket
import sys
import time
from collections.abc import Callable

_HEED = (
    "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
INTERRUPTIBLE = [sys.executable, "-c", _HEED]
"""What stands before a command that shall heed Ctrl-C, which shells let nothing in their background
do, nor tests that run there."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; half a minute is for ever."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
