"""`delete-user`, as an operator uses it: a real process, a simulated Heap, files.

Modules: `deletion/runner.py`, `deletion/people.py`, `deletion/audit.py`.
"""

import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import run_command
from waiting import json_lines, until

from destination_router.service.serving import Asgi
from heap_destination.simulator import create_simulator

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
KEY = "simulated-api-key"
SECRET = ("--secret", "deletionApiKey=env:HEAP_API_KEY")
SUBMITTED = "/api/public/v0/user_deletion"


class Heap:
    """A simulated Heap with a clock of its own."""

    def __init__(self, serve: Callable[[Asgi], str]) -> None:
        self.now = 1_790_000_000.0
        app = create_simulator(rate_limits=False, clock=lambda: self.now, deletion_seconds=60)
        self.heap = app.state.heap
        self.url = serve(app)

    def track(self, **who: str) -> None:
        body = {"app_id": "11", "event": "E", **who}
        assert httpx.post(f"{self.url}/api/track", json=body).status_code == 200

    def asked_to_delete(self) -> list[list[dict[str, str]]]:
        rows = httpx.get(f"{self.url}/_simulator/requests").json()["requests"]
        return [row["body"]["users"] for row in rows if row["path"] == SUBMITTED]

    def identities(self) -> list[str]:
        return [user.identity for user in self.heap.users()]


@pytest.fixture
def heap(serve: Callable[[Asgi], str]) -> Heap:
    return Heap(serve)


def whole(heap: Heap, *arguments: str) -> list[str]:
    elsewhere = ["--origin", f"https://heapanalytics.com={heap.url}"]
    has_its_own = "--config" in arguments or "--look-up" in arguments
    return ["delete-user", *arguments, *([] if has_its_own else elsewhere)]


def start(directory: Path, heap: Heap, *arguments: str) -> subprocess.Popen[str]:
    """In a process of its own, which can be killed."""
    environment = {**os.environ, "COLUMNS": "300", "HEAP_API_KEY": KEY}
    return subprocess.Popen(
        [*CLI, *whole(heap, *arguments)],
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(directory: Path, heap: Heap, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """The exit status, what went to standard output, and what was said."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEAP_API_KEY", KEY)
        done = run_command(*whole(heap, *arguments), stdin=stdin, cwd=directory)
    assert KEY not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def audit(directory: Path) -> list[dict[str, Any]]:
    return json_lines(directory / "deletions.jsonl")


def events(directory: Path) -> list[str]:
    return [entry["event"] for entry in audit(directory)]


def test_users_are_deleted_and_the_audit_says_so(tmp_path: Path, heap: Heap) -> None:
    """Submitted, pending, and complete when the vendor says so; the same command goes on."""
    heap.track(identity="ada@example.com")
    heap.track(identity="bob")
    command = ("heap", "--set", "appId=11", *SECRET, "--user", "ada@example.com")
    status, told, said = run(tmp_path, heap, *command, "--wait", "0s")
    assert (status, told) == (1, "1 users: 0 deleted, 1 pending, 0 failed\n")
    assert "The same command goes on" in said
    assert heap.identities() == ["ada@example.com", "bob"]
    heap.now += 60
    status, told, said = run(tmp_path, heap, *command)
    assert (status, told) == (0, "1 users: 1 deleted, 0 pending, 0 failed\n")
    assert "group 1 of 1: deleted, 1 users, request 1" in said
    assert heap.identities() == ["bob"]
    assert heap.asked_to_delete() == [[{"identity": "ada@example.com"}]]
    assert events(tmp_path) == ["started", "submitted", "ended", "resumed", "complete", "ended"]
    assert not (tmp_path / "deletions.jsonl.state").exists()


def test_the_audit_holds_no_id_and_no_key_and_still_finds_who_was_deleted(
    tmp_path: Path, heap: Heap
) -> None:
    """Ids are hashed with a key beside it; only the owner can read either."""
    ids = ["ada@example.com", "bob"]
    lines = "".join(f"{user}\n" for user in ids)
    command = ("heap", "--set", "appId=11", *SECRET, "--file", "-")
    assert run(tmp_path, heap, *command, "--wait", "0s", stdin=lines)[0] == 1
    content = "".join(path.read_text() for path in tmp_path.iterdir())
    assert not any(text in content for text in (*ids, KEY))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    key = (tmp_path / "deletions.jsonl.key").read_bytes().strip()
    (submitted,) = [entry for entry in audit(tmp_path) if entry["event"] == "submitted"]
    assert submitted["ids"] == [
        hmac.digest(key, f"userId:{user}".encode(), "sha256").hex() for user in ids
    ]
    assert (submitted["requestId"], submitted["status"]) == ("1", 201)
    looked_up = ("--look-up", "--user", "bob", "--user", "eve")
    assert run(tmp_path, heap, *looked_up)[:2] == (
        1,
        "--user 1: pending\n--user 2: not in the audit\n",
    )
    heap.now += 60
    assert run(tmp_path, heap, *command, stdin=lines)[0] == 0
    assert run(tmp_path, heap, "--look-up", "--user", "bob")[:2] == (0, "--user 1: complete\n")


def test_a_line_that_was_cut_off_costs_the_audit_nothing_else(tmp_path: Path, heap: Heap) -> None:
    """After a crash or a full disk within a line, the rest is found, and told apart from it."""
    command = ("heap", "--set", "appId=11", *SECRET, "--wait", "0s")
    assert run(tmp_path, heap, *command, "--user", "ada")[0] == 1
    heap.now += 60
    assert run(tmp_path, heap, *command, "--user", "ada")[0] == 0
    lines = (tmp_path / "deletions.jsonl").read_bytes().splitlines()
    with (tmp_path / "deletions.jsonl").open("ab") as file:
        file.write(lines[1][:40])
    run(tmp_path, heap, *command, "--user", "bob")
    status, told, said = run(tmp_path, heap, "--look-up", "--user", "ada", "--user", "bob")
    assert (status, told) == (1, "--user 1: complete\n--user 2: pending\n")
    assert said.count("cannot be read") == said.count(f"line {len(lines) + 1} ") == 1


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"event": "\xff"}', b"9" * 10_000])
def test_a_line_that_nobody_wrote_costs_the_audit_nothing_else(
    tmp_path: Path, heap: Heap, line: bytes
) -> None:
    """Whatever stands in it, it is told by its number."""
    command = ("heap", "--set", "appId=11", *SECRET, "--wait", "0s", "--user", "ada")
    assert run(tmp_path, heap, *command)[0] == 1
    with (tmp_path / "deletions.jsonl").open("ab") as file:
        file.write(line + b"\n")
    status, told, said = run(tmp_path, heap, "--look-up", "--user", "ada")
    assert (status, told) == (1, "--user 1: pending\n")
    assert said.count("cannot be read") == 1


@pytest.mark.parametrize("state", [b"{", b"[" * 100_000, b'{"of": "\xff"}', b"9" * 10_000])
def test_a_state_that_cannot_be_read_is_told(tmp_path: Path, heap: Heap, state: bytes) -> None:
    """Nothing is asked for a second time before somebody has looked at it."""
    command = ("heap", "--set", "appId=11", *SECRET, "--wait", "0s", "--user", "ada")
    assert run(tmp_path, heap, *command)[0] == 1
    (tmp_path / "deletions.jsonl.state").write_bytes(state)
    status, _, said = run(tmp_path, heap, *command)
    assert status == 2
    assert "deletions.jsonl.state: cannot be read; remove it to start anew" in said
    assert len(heap.asked_to_delete()) == 1


@pytest.mark.parametrize("content", ["", "\n", "0123"])
def test_an_audit_without_a_true_key_is_not_written(
    tmp_path: Path, heap: Heap, content: str
) -> None:
    """Under an empty key the audit would hold plain hashes, which anybody can try ids against."""
    (tmp_path / "deletions.jsonl.key").write_text(content)
    status, _, said = run(tmp_path, heap, "heap", "--set", "appId=11", *SECRET, "--user", "ada")
    assert (status, "is not a key of 64 hexadecimal digits" in said) == (2, True)
    assert heap.asked_to_delete() == []


def test_a_table_is_no_list_of_ids(tmp_path: Path, heap: Heap) -> None:
    """A vendor confirms whatever it is told to delete: what is no id is refused by its line."""
    heap.track(identity="ada")
    lines = ["user_id", '"ada@example.com"', "bob@example.com,Bob", "eve\tEve", "ada"]
    (tmp_path / "users.csv").write_text("\n".join(lines))
    arguments = ("heap", "--set", "appId=11", *SECRET, "--file", "users.csv", "--wait", "0s")
    status, _, said = run(tmp_path, heap, *arguments)
    assert status == 1
    assert [said.count(f"line {number}") for number in range(1, 6)] == [1, 1, 1, 1, 0]
    assert "not_an_id" in said
    assert heap.asked_to_delete() == [[{"identity": "ada"}]]


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path, heap: Heap) -> None:
    """SIGKILL between two groups: the first is not asked for again, the second is."""
    (tmp_path / "users.txt").write_text("".join(f"user-{n}\n" for n in range(10_001)))
    faults = f"{heap.url}/_simulator/faults"
    httpx.post(faults, json={"status": 503, "path": SUBMITTED, "match": "user-10000"})
    command = ("heap", "--set", "appId=11", *SECRET, "--file", "users.txt")
    with start(tmp_path, heap, *command) as process:
        until(lambda: (tmp_path / "deletions.jsonl").exists() and "submitted" in events(tmp_path))
        until(lambda: len(heap.asked_to_delete()) >= 2)
        process.send_signal(signal.SIGKILL)
    httpx.delete(faults)
    before = len(heap.asked_to_delete())
    status, told, _ = run(tmp_path, heap, *command, "--wait", "0s")
    assert (status, told) == (1, "10001 users: 0 deleted, 10001 pending, 0 failed\n")
    assert heap.asked_to_delete()[before:] == [[{"identity": "user-10000"}]]
    heap.now += 60
    assert run(tmp_path, heap, *command)[:2] == (
        0,
        "10001 users: 10001 deleted, 0 pending, 0 failed\n",
    )


def test_an_unfinished_deletion_of_others_is_not_forgotten(tmp_path: Path, heap: Heap) -> None:
    """Its state would be lost: the text says what to do, and nothing is asked for."""
    command = ("heap", "--set", "appId=11", *SECRET, "--wait", "0s")
    assert run(tmp_path, heap, *command, "--user", "ada")[0] == 1
    status, _, said = run(tmp_path, heap, *command, "--user", "bob")
    assert status == 2
    assert "a deletion of other users, or with other settings, is not finished" in said
    assert len(heap.asked_to_delete()) == 1


def test_who_cannot_be_deleted_is_told_and_holds_back_nobody(tmp_path: Path, heap: Heap) -> None:
    """By the place where the id was given, never by the id."""
    lines = (
        "bob\n"
        '{"userId": "ada", "anonymousId": "anon-of-ada"}\n'
        '{"email": "eve@example.com"}\n'
        "{not JSON: eve@example.com\n"
        "undefined\n"
        '{"userId": 7}\n'
        "bob\n"
    )
    (tmp_path / "users.txt").write_text(lines)
    command = ("heap", "--set", "appId=11", *SECRET, "--file", "users.txt", "--json")
    status, told, said = run(tmp_path, heap, *command, "--wait", "0s")
    assert status == 1
    assert heap.asked_to_delete() == [[{"identity": "bob"}, {"identity": "ada"}, {"identity": "7"}]]
    summary = json.loads(told)
    assert summary["users"] == summary["pending"] == 3
    assert summary["refused"] == {
        "not_deletable": 1,
        "missing_identity": 1,
        "invalid_json": 1,
        "unsafe_identity": 1,
    }
    assert [line.partition(": ")[0] for line in said.splitlines()[:4]] == [
        f"line {number}" for number in (2, 3, 4, 5)
    ]
    assert not any(text in said for text in ("eve@", "anon-of", "undefined"))


def test_a_dry_run_asks_nobody(tmp_path: Path, heap: Heap) -> None:
    """It needs no key, writes nothing, and says how many."""
    command = ("heap", "--set", "appId=11", "--user", "a", "--user", "b", "--user", "a")
    assert run(tmp_path, heap, *command, "--dry-run")[:2] == (0, "2 users would be deleted\n")
    assert list(heap.heap.requests()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_reads_no_key(tmp_path: Path, heap: Heap) -> None:
    """Where the key's variable is not set: with a plugin and settings, and with a router.toml."""
    secret = ("--secret", "deletionApiKey=env:UNSET_KEY", "--dry-run", "--user", "a")
    told = run(tmp_path, heap, "heap", "--set", "appId=11", *secret)
    assert told[:2] == (0, "1 user would be deleted\n")
    (tmp_path / "router.toml").write_text(
        '[[connections]]\nname = "h"\nplugin = "heap"\n'
        'settings = { appId = "11", deletionApiKey = { env = "UNSET_KEY" } }\n'
    )
    config = ("--config", "router.toml", "--user", "a")
    told = run(tmp_path, heap, *config, "--dry-run")
    assert told[:2] == (0, "1 user would be deleted\n")
    status, _, said = run(tmp_path, heap, *config)
    assert (status, "UNSET_KEY is not set" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("heap", "--set", "appId=11"), "say who: --user ID, --anonymous ID or --file FILE"),
        (("heap", "--set", "appId=11", "--user", "a"), "missing_api_key: deletionApiKey"),
        (("--user", "a"), "name a plugin"),
        (
            ("heap", "--set", "appId=11", "--set", "deletionApiKey=k", "--user", "a"),
            "--set deletionApiKey: others can read a command line",
        ),
        (("heap", "--secret", "deletionApiKey=k", "--user", "a"), "--secret takes NAME=env:"),
        (("heap", "--set", "appId=11", "--user", "a", "--wait", "soon"), "--wait"),
        (("heap", "--set", "appId=eleven", "--user", "a"), "appId"),
    ],
)
def test_wrong_usage_is_told_and_does_nothing(
    tmp_path: Path, heap: Heap, arguments: tuple[str, ...], words: str
) -> None:
    """Exit status 2, with what to do."""
    status, _, said = run(tmp_path, heap, *arguments)
    assert status == 2, said
    assert words in said
    assert list(heap.heap.requests()) == []


def test_a_wrong_key_is_told(tmp_path: Path, heap: Heap) -> None:
    """The vendor's 401, not its words, and exit status 1; the key may come from a file."""
    (tmp_path / "key").write_text("wrong\n")
    (tmp_path / "key").chmod(0o600)
    command = ("heap", "--set", "appId=11", "--secret", "deletionApiKey=file:key", "--user", "a")
    status, told, said = run(tmp_path, heap, *command)
    assert (status, told) == (1, "1 users: 0 deleted, 0 pending, 1 failed\n")
    assert "group 1 of 1: failed, 1 users, http_401" in said
    assert events(tmp_path) == ["started", "failed", "ended"]


HIPAA = """
[gateway]
write_keys = ["key"]
[delivery]
origins = {{ "https://heapanalytics.com" = "{url}" }}
[privacy]
allow = {{ events = ["E"] }}
[[connections]]
name = "masked"
plugin = "heap"
[connections.settings]
appId = "11"
anonymousEvents = "stitch"
deletionApiKey = {{ env = "HEAP_API_KEY" }}
[connections.privacy]
mode = "hipaa"
allow = {{ events = ["E"] }}
[connections.privacy.keys]
{keys}
"""


def test_masked_ids_are_deleted_under_every_key(tmp_path: Path, heap: Heap) -> None:
    """Who was delivered under one key and, after it was rotated, under the next, is gone."""
    first, second = "1" * 32, "2" * 32
    message = {"type": "track", "userId": "Ada@Example.com", "event": "E"}
    for keys in ((first,), (first, second)):
        for number, key in enumerate(keys, 1):
            (tmp_path / f"key-{number}").write_text(key)
            (tmp_path / f"key-{number}").chmod(0o600)
        table = "\n".join(f'v{n} = {{ file = "key-{n}" }}' for n in range(1, len(keys) + 1))
        (tmp_path / "router.toml").write_text(HIPAA.format(url=heap.url, keys=table))
        lines = [message, {"type": "track", "anonymousId": "anon-1", "event": "E"}]
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("HEAP_API_KEY", KEY)
            environment.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
            sent = run_command("send", "--config", "router.toml", "m.jsonl", cwd=tmp_path)
        assert sent.returncode == 0, sent.stderr
    assert len(heap.identities()) == 2
    assert len(list(heap.heap.events())) == 4

    command = ("--config", "router.toml", "--user", "ada@example.com", "--anonymous", "anon-1")
    status, told, _ = run(tmp_path, heap, *command, "--wait", "0s")
    assert (status, told) == (1, "4 users: 0 deleted, 4 pending, 0 failed\n")
    heap.now += 60
    assert run(tmp_path, heap, *command)[0] == 0
    assert heap.identities() == []
    assert list(heap.heap.events()) == []
    assert "ada" not in json.dumps(heap.asked_to_delete()).lower()


def test_a_refused_key_ends_it_with_the_reason(tmp_path: Path, heap: Heap) -> None:
    """Before anything was asked, and once the vendor has taken it: then it is asked about later."""
    heap.track(identity="ada")
    command = ("heap", "--set", "appId=11", *SECRET, "--user", "ada")
    httpx.post(f"{heap.url}/_simulator/faults", json={"status": 401})
    status, told, said = run(tmp_path, heap, *command)
    assert (status, told) == (1, "1 users: 0 deleted, 0 pending, 1 failed\n")
    assert "The vendor refuses the connection (http_401), so it was asked no further" in said
    httpx.delete(f"{heap.url}/_simulator/faults")
    assert run(tmp_path, heap, *command, "--wait", "0s")[0] == 1
    httpx.post(f"{heap.url}/_simulator/faults", json={"status": 403})
    status, told, said = run(tmp_path, heap, *command, "--json")
    assert (status, json.loads(told)["held"], json.loads(told)["pending"]) == (1, "http_403", 1)
    assert "mend the key. The same command goes on" in said
    httpx.delete(f"{heap.url}/_simulator/faults")
    heap.now += 60
    assert run(tmp_path, heap, *command)[0] == 0
    assert heap.asked_to_delete() == [[{"identity": "ada"}]]
