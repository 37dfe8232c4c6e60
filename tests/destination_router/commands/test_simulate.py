"""`simulate`: a vendor's stand-in as a process.

Modules: `simulate.py`, `demo/stage.py`.
"""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from waiting import PATIENCE

SIMULATE = [sys.executable, "-m", "destination_router.commands.cli", "simulate"]


def test_a_stand_in_takes_what_send_sends(tmp_path: Path) -> None:
    """It says where it answers, holds what it was sent, and ends when told."""
    messages = tmp_path / "messages.jsonl"
    messages.write_text('{"type": "track", "messageId": "m-1", "userId": "ada", "event": "E"}\n')
    process = subprocess.Popen([*SIMULATE, "heap", "--listen", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("Simulated heap on http://127.0.0.1:")
        url = said.split()[-1]
        origin = f"https://heapanalytics.com={url}"
        send = [*SIMULATE[:-1], "send", "heap", "--set", "appId=1", str(messages)]
        subprocess.run([*send, "--origin", origin], check=True, capture_output=True)
        (event,) = httpx.get(f"{url}/_simulator/events").json()["events"]
        assert event["event"] == "E"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_told() -> None:
    """No traceback, but the address and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run([*SIMULATE, "heap", "--listen", address],
                              capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    told = f"cannot listen on {address}: another program does; end it, or choose another port\n"
    assert done.stderr == told


def test_a_host_that_nobody_knows_is_told() -> None:
    """A number that is too large is no address, and a name may be misspelt."""
    done = subprocess.run([*SIMULATE, "heap", "--listen", "300.1.1.1:0"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "300.1.1.1:0: it is no address, and no host is called so" in done.stderr
