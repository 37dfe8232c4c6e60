"""A vendor that takes nothing of a connection, with real processes, a real log and short waits.

Modules: `eventlog/sqlite/standing_book.py`, `commands/pausing.py`.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from router_process import CLI, Router, command, events, toml
from waiting import PATIENCE, until

WAITS = '[delivery]\nhold_wait = "50ms"\nlongest_hold = "100ms"\n'
LAG = 'router_lag_messages{connection="US"}'
MOVED = {"location": "https://elsewhere.example/"}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def configure(directory: Path, heap_url: str) -> None:
    (directory / "router.toml").write_text(toml(heap_url).replace("[delivery]\n", WAITS))


def refuse(heap_url: str, status: int, **fault: Any) -> None:
    httpx.post(f"{heap_url}/_simulator/faults", json={"status": status, **fault}).raise_for_status()


def mend(heap_url: str) -> None:
    httpx.delete(f"{heap_url}/_simulator/faults").raise_for_status()


def track(number: int) -> dict[str, Any]:
    user = f"user-{number % 7}"
    return {"type": "track", "userId": user, "event": "E", "messageId": f"m{number}"}


@pytest.mark.parametrize(
    ("status", "more"),
    [(401, {}), (403, {}), (407, {}), (404, {}), (307, {"headers": MOVED})],
    ids=["401", "403", "407", "404 before a success", "a redirect"],
)
def test_a_refused_connection_holds_through_a_restart_and_goes_on(
    router: Router, heap_url: str, status: int, more: dict[str, Any]
) -> None:
    """No dead letter, order kept, everything delivered once; it is seen while it lasts."""
    configure(router.directory, heap_url)
    refuse(heap_url, status, **more)
    router.start()
    held = f'router_held{{code="http_{status}",connection="US"}}'
    assert router.send(*map(track, range(300))) == 200
    until(lambda: router.metrics().get(held) == 1)
    metrics = router.metrics()
    assert metrics[LAG] == 300
    since = metrics['router_held_since_seconds{connection="US"}']
    said = command(router.directory, "eventlog", "status").stdout
    assert f"(http_{status})" in said
    assert "held since 20" in said
    assert router.stop() == 0
    router.start()
    until(lambda: router.metrics().get(held) == 1)
    again = router.metrics()['router_held_since_seconds{connection="US"}']
    assert again == pytest.approx(since, abs=0.01)
    mend(heap_url)
    until(lambda: router.metrics()[LAG] == 0)
    metrics = router.metrics()
    assert metrics[held] == 0
    assert 'router_held_since_seconds{connection="US"}' not in metrics
    assert "held" not in command(router.directory, "eventlog", "status").stdout
    router.stop()

    sent = events(heap_url)
    assert sorted(sent) == sorted(f"m{n}" for n in range(300))
    for user in range(7):
        assert [i for i in sent if int(i[1:]) % 7 == user] == [f"m{n}" for n in range(user, 300, 7)]
    assert command(router.directory, "dead-letters", "list").stdout == ""
    told = [line["event"] for line in router.lines()]
    assert (told.count("connection_held"), told.count("connection_goes_on")) == (1, 1)


def test_a_404_after_a_success_is_that_messages_own(router: Router, heap_url: str) -> None:
    """Also where the router was restarted in between."""
    configure(router.directory, heap_url)
    router.start()
    router.send(track(1))
    until(lambda: router.metrics()[LAG] == 0)
    router.stop()
    refuse(heap_url, 404)
    router.start()
    router.send(track(2))
    until(lambda: router.metrics()[LAG] == 0)
    router.stop()

    assert "http_404" in command(router.directory, "dead-letters", "list").stdout


def test_send_ends_with_the_reason_and_goes_on_the_next_time(
    tmp_path: Path, heap_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After --wait it says why and how many are left, with status 1."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(tmp_path, heap_url)
    lines = tmp_path / "messages.jsonl"
    lines.write_text("".join(json.dumps(track(n)) + "\n" for n in range(20)))
    refuse(heap_url, 401, body="no such key")
    told = command(tmp_path, "send", "--config", "router.toml", "--wait", "300ms", str(lines))
    assert told.returncode == 1
    assert (
        "20 messages left (the vendor took nothing for 300ms: held, http_401: no such key). "
        "The same command sends the rest."
    ) in told.stderr
    mend(heap_url)
    told = command(tmp_path, "send", "--config", "router.toml", str(lines))
    assert (told.returncode, len(events(heap_url))) == (0, 20)


def test_check_live_tells_that_a_connection_is_held(tmp_path: Path, heap_url: str) -> None:
    """The test messages are sent once, and what the vendor says is shown."""
    configure(tmp_path, heap_url)
    refuse(heap_url, 401, body="no such key")
    told = command(tmp_path, "check", "--live")
    assert told.returncode == 1
    assert "US  identify  held  http_401: no such key" in told.stdout


def test_a_connection_is_paused_and_resumed_while_the_router_runs(
    router: Router, heap_url: str
) -> None:
    """Without a restart, and through one; the list says so."""
    configure(router.directory, heap_url)
    router.start()
    paused = 'router_paused{connection="US"}'
    assert router.metrics()[paused] == 0
    assert command(router.directory, "connections", "pause", "US").returncode == 0
    until(lambda: router.metrics()[paused] == 1)
    assert router.send(*map(track, range(20))) == 200
    assert router.stop() == 0
    router.start()
    assert router.metrics()[paused] == 1
    assert router.metrics()[LAG] == 20
    listed = command(router.directory, "connections", "list").stdout
    assert listed.startswith("US  heap  20 messages behind  paused since 20")
    assert events(heap_url) == []
    assert command(router.directory, "connections", "resume", "US").returncode == 0
    until(lambda: router.metrics()[LAG] == 0)
    assert len(events(heap_url)) == 20
    assert "sending" in command(router.directory, "connections", "list").stdout
    told = command(router.directory, "connections", "pause", "EU")
    assert (told.returncode, "has no connection 'EU'; it has US" in told.stderr) == (2, True)
    router.stop()
    said = [line["event"] for line in router.lines()]
    assert (said.count("connection_paused"), said.count("connection_resumed")) == (1, 1)


def test_the_list_says_whether_a_router_runs(router: Router, heap_url: str) -> None:
    """In words, and for a program."""
    configure(router.directory, heap_url)
    router.start()

    def listed() -> Any:
        return json.loads(command(router.directory, "connections", "list", "--json").stdout)

    assert listed() == {
        "connection": "US",
        "plugin": "heap",
        "state": "sending",
        "messages": 0,
        "seconds": 0,
        "pausedSince": None,
        "heldSince": None,
        "heldCode": None,
        "routerRuns": True,
    }
    refuse(heap_url, 401)
    assert router.send(track(1)) == 200
    until(lambda: listed()["state"] == "held")
    assert listed()["heldCode"] == "http_401"
    router.stop()
    assert (listed()["state"], listed()["routerRuns"]) == ("stopped", False)
    told = command(router.directory, "connections", "list").stdout
    assert "1 message behind  held since 20" in told
    assert told.endswith("not sending: no router runs\n")
    command(router.directory, "connections", "pause", "US")
    assert (listed()["state"], listed()["pausedSince"][:2]) == ("paused", "20")


def test_send_and_a_live_check_send_nothing_for_a_paused_connection(
    tmp_path: Path, heap_url: str, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say so, and how to go on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(router.directory, heap_url)
    router.start()
    router.stop()
    lines = tmp_path / "messages.jsonl"
    lines.write_text(json.dumps(track(1)) + "\n")
    command(tmp_path, "connections", "pause", "US")
    told = command(tmp_path, "send", "--config", "router.toml", str(lines))
    assert (told.returncode, "US is paused since 20" in told.stderr) == (2, True)
    assert "`destination-router connections resume US`" in told.stderr
    told = command(tmp_path, "check", "--live")
    assert told.stdout.startswith("US  not asked  paused since 20")
    assert httpx.get(f"{heap_url}/_simulator/requests").json()["requests"] == []
    command(tmp_path, "connections", "resume", "US")
    assert command(tmp_path, "send", "--config", "router.toml", str(lines)).returncode == 0
    assert command(tmp_path, "check", "--live").returncode == 0
    assert len(events(heap_url)) == 2


def test_a_send_at_work_heeds_a_pause(
    tmp_path: Path, heap_url: str, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits, says so, and goes on when the connection is resumed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(router.directory, heap_url)
    router.start()
    router.stop()
    lines = tmp_path / "messages.jsonl"
    lines.write_text("".join(json.dumps(track(n)) + "\n" for n in range(20)))
    refuse(heap_url, 401)
    said = tmp_path / "send.err"
    with said.open("w") as stderr:
        sending = subprocess.Popen(
            [*CLI, "send", "--config", "router.toml", str(lines)], cwd=tmp_path, stderr=stderr
        )
    try:
        until(lambda: "The vendor does not take anything (http_401)" in said.read_text())
        command(tmp_path, "connections", "pause", "US")
        until(lambda: "US is paused: waiting for 5m" in said.read_text())
        mend(heap_url)
        command(tmp_path, "connections", "resume", "US")
        assert sending.wait(timeout=PATIENCE) == 0
    finally:
        sending.kill()
        sending.wait()
    assert "connection_resumed" in said.read_text()
    assert len(events(heap_url)) == 20
    # A hold that it met is not taken for the router's.
    assert "held" not in command(tmp_path, "connections", "list").stdout


def test_send_knows_what_an_earlier_one_proved(
    tmp_path: Path, heap_url: str, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 404 is then that message's own: where there is a log, whichever file it was."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(router.directory, heap_url)
    router.start()
    router.stop()
    for number in (1, 2):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(track(number)) + "\n")
    assert command(tmp_path, "send", "--config", "router.toml", "1.jsonl").returncode == 0
    refuse(heap_url, 404)
    told = command(tmp_path, "send", "--config", "router.toml", "--json", "2.jsonl")
    assert json.loads(told.stdout)["rejected"] == {"http_404": 1}


def test_a_live_check_carries_the_consent_that_is_asked_for(tmp_path: Path, heap_url: str) -> None:
    """A connection that filters what says nothing of consent is tried all the same."""
    configure(tmp_path, heap_url)
    with (tmp_path / "router.toml").open("a") as file:
        file.write(
            'consent = [{ provider = "oneTrust", categories = ["C1"], when_absent = "filter" }]\n'
        )
    told = command(tmp_path, "check", "--live")
    assert (told.returncode, told.stdout.count("delivered")) == (0, 2)


def test_a_check_says_that_it_could_ask_nothing(tmp_path: Path, heap_url: str) -> None:
    """Where the connection takes neither test message."""
    configure(tmp_path, heap_url)
    with (tmp_path / "router.toml").open("a") as file:
        file.write("subscription = 'event = \"Nothing\"'\n")
    told = command(tmp_path, "check", "--live")
    assert "US  not asked  no test message passes, so nothing was sent" in told.stdout
