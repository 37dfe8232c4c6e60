"""`send -` and pipes: what has come in goes out, however long the rest takes.

Modules: `line_sources.py`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from waiting import INTERRUPTIBLE, PATIENCE, until

CLI = [sys.executable, "-m", "destination_router.commands.cli"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `send` remembers, in a place of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def line(number: int) -> bytes:
    message = {"type": "track", "userId": "u", "event": "E", "messageId": f"m{number}"}
    return json.dumps(message).encode() + b"\n"


def command(source: str, heap_url: str) -> list[str]:
    origin = f"https://heapanalytics.com={heap_url}"
    options = ["--set", "appId=11", "--origin", origin, "--json"]
    return [*INTERRUPTIBLE, *CLI, "send", "heap", *options, source]


def started(source: str, heap_url: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command(source, heap_url), stdin=pipe, stdout=pipe, stderr=pipe)


def write(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()


def delivered(heap_url: str) -> list[str]:
    rows = httpx.get(f"{heap_url}/_simulator/events").json()["events"]
    return [row["idempotency_key"] for row in rows]


def test_what_has_come_in_is_sent_before_the_stream_ends(heap_url: str) -> None:
    """A sender that pauses keeps nothing waiting, and what comes later is sent too."""
    with started("-", heap_url) as process:
        write(process, line(0) + line(1))
        until(lambda: delivered(heap_url) == ["m0", "m1"])
        write(process, line(2))
        until(lambda: delivered(heap_url) == ["m0", "m1", "m2"])
        told, _ = process.communicate(line(3))
    assert (process.returncode, json.loads(told)["delivered"]) == (0, 4)


def test_a_stream_that_is_quick_goes_out_in_bulks(heap_url: str) -> None:
    """Lines that follow each other closely are gathered."""
    content = b"".join(map(line, range(900)))
    done = subprocess.run(
        command("-", heap_url), input=content, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, json.loads(done.stdout)["delivered"]) == (0, 900)
    requests = httpx.get(f"{heap_url}/_simulator/stats").json()["requests"]
    assert sum(sum(by.values()) for by in requests.values()) < 90


def test_ctrl_c_while_a_stream_pauses_ends_it_in_order(heap_url: str) -> None:
    """It says what was done; nobody waits for a line that may never come."""
    with started("-", heap_url) as process:
        write(process, line(0))
        until(lambda: delivered(heap_url) == ["m0"])
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)  # the stream is still open
        told, said = process.communicate()
    summary = json.loads(told)
    assert (process.returncode, summary["delivered"], summary["interrupted"]) == (1, 1, True)
    assert b"Traceback" not in said
    assert b"Fatal" not in said


def test_a_named_pipe_is_a_stream(tmp_path: Path, heap_url: str) -> None:
    """So is one that a shell makes of `<(...)`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    may_end = threading.Event()

    def fill() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(line(0))
            may_end.wait(PATIENCE)

    threading.Thread(target=fill, daemon=True).start()
    with started(str(path), heap_url) as process:
        until(lambda: delivered(heap_url) == ["m0"])
        may_end.set()
        told, _ = process.communicate()
    assert (process.returncode, json.loads(told)["delivered"]) == (0, 1)


def test_a_stream_that_cannot_be_read_is_told_as_a_file_is(heap_url: str) -> None:
    """A thread reads it, and its error reaches who asked."""
    done = subprocess.run(
        command("-", heap_url), input=b"PK\x03\x04rest", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"zip archive" in done.stderr
    assert b"Traceback" not in done.stderr
