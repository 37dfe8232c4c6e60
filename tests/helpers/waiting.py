"""What tests of real processes need: a port to give them, and to wait for what they do."""

import contextlib
import functools
import secrets
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


_NOT_GIVEN_AWAY = range(20_000, 32_000)
_NOBODY = socket.socket()


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

    It lies below those that the system gives away by itself, so that no other test's server or
    client takes it before it is listened on.
    """
    while True:
        port = secrets.choice(_NOT_GIVEN_AWAY)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; half a minute is for ever."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
