"""The whole router on Kafka: gateways and workers as processes, and the commands beside them.

Modules: `topics.py`, `admin.py`.
"""

import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import run_command
from kafka_log import new_log, servers
from router_process import Router, toml
from waiting import PATIENCE, until


def track(number: int, **fields: object) -> dict[str, object]:
    message = {"type": "track", "event": "E", "userId": f"u{number % 7}", "messageId": f"m{number}"}
    return {**message, "properties": {"n": number}, **fields}


def written(directory: Path, heap_url: str, url: str, **settings: str) -> Path:
    """A router.toml with its log on Kafka."""
    text = toml(heap_url, **settings).replace("sqlite:///router.db", url)
    text = text.replace("[delivery]", '[delivery]\ntimeout = "1s"')
    text = text.replace(f'url = "{url}"', f'url = "{url}"\nkafka = {{ replication = 1 }}')
    (directory / "router.toml").write_text(text)
    return directory / "router.toml"


@pytest.fixture
def routers(tmp_path: Path, heap_url: str) -> Iterator[tuple[Router, Router]]:
    """Two processes on one log, each in a folder of its own."""
    url = new_log().url
    both = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        written(folder, heap_url, url)
        both.append(Router(folder))
    yield both[0], both[1]
    for router in both:
        router.end()


def events(heap_url: str) -> list[str]:
    found = httpx.get(f"{heap_url}/_simulator/events", timeout=PATIENCE).json()["events"]
    return [event["idempotency_key"] for event in found]


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    done = run_command(*arguments, cwd=directory)
    return done.returncode, done.stdout, done.stderr


def test_a_worker_that_is_killed_is_followed_by_the_other(
    routers: tuple[Router, Router], heap_url: str
) -> None:
    """Nothing is lost and nothing doubled at the vendor, whoever took it in."""
    one, two = routers
    one.start()
    two.start()
    for start in range(0, 200, 20):
        router = one if start % 40 else two
        assert router.send(*[track(number) for number in range(start, start + 20)]) == 200
    assert one._process is not None
    one._process.send_signal(signal.SIGKILL)
    one._process.wait()
    for start in range(200, 300, 20):
        assert two.send(*[track(number) for number in range(start, start + 20)]) == 200
    until(lambda: len(set(events(heap_url))) == 300)
    assert sorted(events(heap_url)) == sorted(f"m{number}" for number in range(300))
    assert two.stop() == 0


def test_gateways_and_workers_are_processes_of_their_own(
    routers: tuple[Router, Router], heap_url: str
) -> None:
    """What a gateway alone took waits for whoever delivers."""
    one, two = routers
    one.start("--gateway-only")
    assert one.send(*[track(number) for number in range(10)]) == 200
    assert one.metrics()
    two.start()
    until(lambda: len(events(heap_url)) == 10)


def test_commands_do_on_kafka_what_they_do_on_a_file(
    routers: tuple[Router, Router], heap_url: str
) -> None:
    """Dead letters, replays, pauses, lags, people."""
    one, _ = routers
    where = one.directory
    one.start()
    bad = {"type": "track", "userId": "u1", "messageId": "bad", "event": ""}
    assert one.send(bad, track(1)) == 200
    until(lambda: len(events(heap_url)) == 1)
    until(lambda: "bad" in run(where, "dead-letters", "list", "--each")[1])
    status, said, _ = run(where, "dead-letters", "list", "--json")
    (letter,) = [json.loads(line) for line in said.splitlines()]
    assert (status, letter["code"]) == (0, "missing_event")
    assert run(where, "dead-letters", "show", str(letter["id"]))[0] == 0
    assert run(where, "dead-letters", "replay", "--all")[0] == 0
    until(lambda: json.loads(run(where, "dead-letters", "list", "--json")[1] or "{}"))
    assert run(where, "dead-letters", "delete", "--all")[0] == 0
    assert run(where, "dead-letters", "list", "--json")[1] == ""

    assert run(where, "connections", "pause", "US")[0] == 0
    until(lambda: "paused since" in run(where, "connections", "list")[1])
    until(lambda: "connection_paused" in (where / "said.log").read_text())
    assert one.send(track(2)) == 200
    until(lambda: "1 message" in run(where, "eventlog", "status")[1])
    assert run(where, "connections", "resume", "US")[0] == 0
    until(lambda: len(events(heap_url)) == 2)

    status, _, told = run(where, "reload")
    assert (status, "SIGHUP" in told) == (2, True)
    assert run(where, "check", "--log")[0] == 0
    status, _, told = run(where, "privacy", "report", "--config", "router.toml")
    assert status == 0, told
    status, _, told = run(where, "replay", "--connection", "US", "--since", "1h", "--dry-run")
    assert (status, "Traceback" in told) in {(0, False), (1, False)}  # what is kept is soon deleted
    one.stop()
    status, said, told = run(where, "eventlog", "status")
    assert (status, said.split()[:2]) == (0, ["US", "0"])


def test_topics_are_shown_and_made(tmp_path: Path, heap_url: str) -> None:
    """`create` shows what it would make, makes it when told to, and then has nothing to do."""
    url = f"kafka://{servers()}/new-{uuid.uuid4().hex[:12]}"
    written(tmp_path, heap_url, url)
    status, _, told = run(tmp_path, "run", "--listen", "127.0.0.1:0")
    assert (status, "eventlog create" in told) == (2, True)
    status, said, _ = run(tmp_path, "eventlog", "create")
    assert (status, said.count("would be made")) == (0, 3)
    assert "retention.ms=-1" in said
    assert "there is no topic" in run(tmp_path, "eventlog", "status")[2]
    status, said, _ = run(tmp_path, "eventlog", "create", "--yes")
    assert (status, said.count("made: ")) == (0, 3)
    status, said, told = run(tmp_path, "eventlog", "create")
    assert (status, said) == (0, "")
    assert "held by 1 broker" in told
