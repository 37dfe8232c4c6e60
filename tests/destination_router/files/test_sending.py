"""`send`: packed, in order, and resumed where a run was interrupted.

Modules: `sending.py`, `file_source.py`, `reading.py`, `resuming.py`, `commands/send.py`.
"""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import run_command
from waiting import INTERRUPTIBLE, PATIENCE, until

CLI = [sys.executable, "-m", "destination_router.commands.cli"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `send` remembers, in a place of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "destination-router" / "send"


def write(path: Path, count: int, users: int = 50) -> None:
    with path.open("w") as lines:
        for number in range(count):
            user = f"user-{number % users}"
            traits = {"context": {"traits": {"seen": number}}} if number % 3 == 0 else {}
            message = {"type": "track", "userId": user, "event": "E", "messageId": f"m{number}"}
            lines.write(json.dumps(message | traits) + "\n")


def arguments(path: Path, heap_url: str, *options: str) -> list[str]:
    origin = f"https://heapanalytics.com={heap_url}"
    return ["send", "heap", "--set", "appId=11", "--origin", origin, *options, str(path)]


def command(path: Path, heap_url: str, *options: str) -> list[str]:
    """Send in a process of its own, which can be killed."""
    return [*CLI, *arguments(path, heap_url, *options)]


def send(path: Path, heap_url: str, *options: str) -> Any:
    done = run_command(*arguments(path, heap_url, "--json", *options))
    return done.returncode, json.loads(done.stdout), done.stderr


def stats(heap_url: str) -> Any:
    return httpx.get(f"{heap_url}/_simulator/stats").json()


def events(heap_url: str) -> list[str]:
    rows = httpx.get(f"{heap_url}/_simulator/events").json()["events"]
    return [row["idempotency_key"] for row in rows]


def test_a_thousand_messages_take_four_requests_at_the_most(tmp_path: Path, heap_url: str) -> None:
    """A file goes out in bulks."""
    path = tmp_path / "messages.jsonl"
    write(path, 1000)
    status, summary, _ = send(path, heap_url)
    assert (status, summary["delivered"]) == (0, 1000)
    assert len(events(heap_url)) == 1000
    assert sum(sum(by.values()) for by in stats(heap_url)["requests"].values()) <= 4


def kiosk(path: Path, times: str, count: int = 60) -> None:
    path.write_text(
        "".join(
            json.dumps(
                {
                    "type": "track",
                    "event": "E",
                    "messageId": f"m{n}",
                    "userId": "kiosk",
                    "anonymousId": f"a{n}",
                    "timestamp": times.format(n),
                }
            )
            + "\n"
            for n in range(count)
        )
    )


def test_an_identity_that_too_many_carry_is_held_back(tmp_path: Path, heap_url: str) -> None:
    """A file is watched as a router's traffic is, by the times that stand in it."""
    path = tmp_path / "messages.jsonl"
    kiosk(path, "2026-11-22T10:00:{:02}Z")
    status, summary, told = send(path, heap_url)
    assert (status, summary["delivered"]) == (1, 50)
    assert summary["rejected"] == {"quarantined_identity": 10}
    assert "[quarantine] allow" in told
    spread = tmp_path / "spread.jsonl"
    kiosk(spread, "2026-11-22T{:02}:00:00Z", 24)
    config = tmp_path / "router.toml"
    config.write_text(
        '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
        "[quarantine]\nanonymous_ids = 3\n"
        f'[delivery.origins]\n"https://heapanalytics.com" = "{heap_url}"\n'
    )
    for file, held in ((spread, 0), (path, 57), (spread, 24)):  # kept, once it is held back
        done = run_command("send", "--json", "--config", config, file)
        held_back = json.loads(done.stdout)["rejected"].get("quarantined_identity", 0)
        assert held_back == held, done.stderr


REWRITTEN: dict[str, Callable[[list[Any]], bytes]] = {
    "an array": lambda messages: json.dumps(messages).encode(),
    "an indented batch": lambda messages: json.dumps({"batch": messages}, indent=1).encode(),
    "joined": lambda messages: "".join(map(json.dumps, messages)).encode(),
    "indented, packed": lambda messages: gzip.compress(
        "\n".join(json.dumps(message, indent=2) for message in messages).encode()
    ),
}


@pytest.mark.parametrize("form", ["lines", *REWRITTEN])
def test_an_interrupted_file_is_resumed(
    tmp_path: Path, heap_url: str, state: Path, form: str
) -> None:
    """A second run sends only what the first one, killed in its midst, had not delivered."""
    path = tmp_path / "messages.jsonl"
    write(path, 12_000)
    if form in REWRITTEN:
        messages = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_bytes(REWRITTEN[form](messages))
    httpx.post(f"{heap_url}/_simulator/faults", json={"delay": 0.5})
    with subprocess.Popen(command(path, heap_url), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(state.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    (saved,) = state.glob("*.json")
    remembered = json.loads(saved.read_bytes())

    httpx.delete(f"{heap_url}/_simulator/faults")
    status, summary, talk = send(path, heap_url)
    done = summary["passedOver"]
    assert (status, 0 < done < 12_000) == (0, True)
    if "indented" not in form:  # of an indented one the positions are lines
        assert done == remembered["low"] + len(remembered["done"])
    assert summary["delivered"] == 12_000 - done
    assert "Going on where the last run ended" in talk
    assert sorted(events(heap_url)) == sorted(f"m{n}" for n in range(12_000))
    assert list(state.iterdir()) == []


def test_a_complaint_has_no_empty_parts(tmp_path: Path, heap_url: str) -> None:
    """A message without an id is told by its line alone, a refusal without words by its code."""
    path = tmp_path / "messages.jsonl"
    write(path, 1)
    path.write_text(path.read_text() + "{\n")
    httpx.post(f"{heap_url}/_simulator/faults", json={"status": 400, "match": "m0", "body": ""})
    status, summary, talk = send(path, heap_url)
    assert (status, summary["rejected"]) == (1, {"http_400": 1, "invalid_json": 1})
    assert re.search(r"^line 1 \(m0\): http_400$", talk, re.MULTILINE), talk
    assert re.search(r"^line 2: invalid_json: .+$", talk, re.MULTILINE), talk


def test_a_file_that_changed_is_sent_anew(tmp_path: Path, heap_url: str, state: Path) -> None:
    """What was remembered of another content does not count."""
    path = tmp_path / "messages.jsonl"
    write(path, 5)
    fault = {"status": 500, "match": "m3"}
    httpx.post(f"{heap_url}/_simulator/faults", json=fault)
    config = tmp_path / "router.toml"
    config.write_text(
        '[delivery]\nmax_attempts = 2\nfirst_wait = "10ms"\nwindow = 1\n'
        f'origins = {{"*" = "{heap_url}"}}\n'
        '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
    )

    def run() -> Any:
        done = run_command("send", "--config", config, "--json", path)
        return done.returncode, json.loads(done.stdout)

    status, summary = run()
    assert status == 1
    assert summary["left"] == 1
    assert summary["answers"]["500"] > 0
    assert len(list(state.iterdir())) == 1
    httpx.delete(f"{heap_url}/_simulator/faults")
    status, summary = run()
    assert (status, summary["left"]) == (0, False)
    assert summary["passedOver"] + summary["delivered"] == 5
    assert summary["passedOver"] > 0
    httpx.post(f"{heap_url}/_simulator/faults", json=fault)
    assert run()[0] == 1
    httpx.delete(f"{heap_url}/_simulator/faults")
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1_000_000))
    status, summary = run()
    assert (status, summary["passedOver"], summary["delivered"]) == (0, 0, 5)


def test_what_a_dead_vendor_left_is_counted(tmp_path: Path) -> None:
    """The run says how much is left, why, and how to go on; so does its exit status."""
    path = tmp_path / "messages.jsonl"
    write(path, 30)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = tmp_path / "router.toml"
    config.write_text(
        '[delivery]\nmax_attempts = 2\nfirst_wait = "10ms"\nlongest_wait = "20ms"\n'
        f'circuit_failures = 1\norigins = {{"*" = "http://127.0.0.1:{port}"}}\n'
        '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
    )
    done = run_command("send", "--config", config, path)
    assert done.returncode == 1
    assert "30 messages left (network " in done.stderr
    assert "The same command sends the rest." in done.stderr


def test_a_vendor_that_never_answers_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    """A connection that hangs ends the run as one that is refused does; the next run goes on."""
    path = tmp_path / "messages.jsonl"
    write(path, 3)
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # it takes connections, and no more
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        for _ in range(2):
            status, summary, talk = send(path, url, "--wait", "300ms")
            assert (status, summary["timedOut"], summary["left"]) == (1, True, 3)
            assert summary["interrupted"] is False
            told = "3 messages left (the vendor took nothing for 300ms). The same command sends"
            assert told in talk
    refused = send(path, url, "--wait", "1s")
    assert (refused[0], refused[1]["timedOut"], refused[1]["left"]) == (1, True, 3)
    assert re.search(
        rf"\(the vendor took nothing for 1s: network \d+: {url}: the connection was refused\)",
        refused[2].replace("\n", " "),
    )
    assert refused[1]["failure"] == f"{url}: the connection was refused"


def test_how_long_to_wait_is_a_duration(tmp_path: Path, heap_url: str) -> None:
    """Anything else is wrong usage, told by the option's name, before anything is sent."""
    path = tmp_path / "messages.jsonl"
    write(path, 1)
    done = run_command(*arguments(path, heap_url, "--wait", "soon"))
    assert done.returncode == 2
    assert done.stderr == "--wait: not an amount in ms, s, m, h, d\n"
    assert events(heap_url) == []


def test_ctrl_c_lets_what_is_under_way_end_and_sums_up(tmp_path: Path, heap_url: str) -> None:
    """An interrupted run says what it did and what is left, and the next one sends the rest."""
    path = tmp_path / "messages.jsonl"
    write(path, 12_000)
    httpx.post(f"{heap_url}/_simulator/faults", json={"delay": 0.5})
    with subprocess.Popen(
        [*INTERRUPTIBLE, *command(path, heap_url)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: bool(events(heap_url)))
        process.send_signal(signal.SIGINT)
        said, talked = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    delivered = int(re.fullmatch(r"(\d+) messages: \1 delivered, 0 .*, 0 rejected\n", said)[1])  # type: ignore[index]
    assert talked == (
        f"{12_000 - delivered} messages left (interrupted). The same command sends the rest.\n"
    )
    httpx.delete(f"{heap_url}/_simulator/faults")
    _, summary, _ = send(path, heap_url)
    assert (summary["passedOver"], summary["delivered"]) == (delivered, 12_000 - delivered)


@pytest.mark.parametrize("harm", ["cut", "damaged"])
def test_a_file_that_breaks_off_is_sent_as_far_as_it_goes(
    tmp_path: Path, heap_url: str, state: Path, harm: str
) -> None:
    """Every line before the break is delivered and counted; the file and the line are named."""
    path = tmp_path / "messages.jsonl"
    write(path, 3000)
    packed = gzip.compress(path.read_bytes())
    half = gzip.compress(b"".join(path.read_bytes().splitlines(keepends=True)[:1500]))
    broken = {"cut": packed[: len(packed) // 2], "damaged": half + b"no gzip"}
    path.write_bytes(broken[harm])
    status, summary, talk = send(path, heap_url)
    sent = summary["delivered"]
    assert status == 1
    assert 0 < sent < 3000
    assert sorted(events(heap_url)) == sorted(f"m{n}" for n in range(sent))
    assert summary["broken"].startswith(f"{path}, line {sent + 1}: ")
    assert summary["broken"] in talk
    assert list(state.iterdir()), "what was sent is remembered"


def test_what_is_left_of_a_broken_file_is_counted_to_the_break(tmp_path: Path) -> None:
    """A dead vendor and a broken file are both told."""
    path = tmp_path / "messages.jsonl"
    write(path, 3000)
    path.write_bytes(gzip.compress(path.read_bytes())[:5000])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = tmp_path / "router.toml"
    config.write_text(
        '[delivery]\nmax_attempts = 1\nfirst_wait = "1ms"\nlongest_wait = "1ms"\nwindow = 100\n'
        f'origins = {{"*" = "http://127.0.0.1:{port}"}}\n'
        '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
    )
    done = run_command("send", "--config", config, "--wait", "1s", "--json", path)
    summary = json.loads(done.stdout)
    assert done.returncode == 1
    assert summary["messages"] == 0
    assert f"line {summary['left'] + 1}: it ends here" in summary["broken"]


def test_standard_input_is_not_remembered(heap_url: str, state: Path) -> None:
    """A stream cannot be resumed, so nothing is kept of it."""
    line = json.dumps({"type": "track", "userId": "ada", "event": "E"})
    done = run_command(*arguments(Path("-"), heap_url, "--json"), stdin=line)
    assert json.loads(done.stdout)["delivered"] == 1
    assert not state.exists()
