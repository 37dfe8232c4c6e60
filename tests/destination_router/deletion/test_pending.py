"""`delete-user` with a router's log: what it still holds of somebody does not bring them back.

Modules: `deletion/pending.py`, `deletion/matching.py`.
"""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from waiting import INTERRUPTIBLE, PATIENCE, closed_port, json_lines, until

from destination_router.config.router_toml import load_config
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.sqlite.claim import claim
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.trace_file import TraceFile, trace_path
from destination_router.eventlog.trace import Exchange, Trace, TraceContent, TraceFilter
from destination_router.service.connections import connect
from destination_router.service.serving import Asgi
from heap_destination.simulator import create_simulator

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
KEYS = {"HEAP_API_KEY": "simulated-api-key", "MASKING_KEY_1": "1" * 32, "MASKING_KEY_2": "2" * 32}
OTHER = '[[connections]]\nname = "other"\nplugin = "heap"\nsettings = { appId = "22" }\n'
PRIVATE = """
[privacy]
allow = { events = ["E"] }
keys = { v1 = { env = "MASKING_KEY_1" } }
[connections.privacy]
mode = "hipaa"
allow = { events = ["E"] }
"""


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


@pytest.fixture
def vendor(serve: Callable[[Asgi], str]) -> str:
    return serve(create_simulator(deletion_seconds=0))


def track(user: str = "", **fields: Any) -> bytes:
    message = {"type": "track", "event": "E", "userId": user, "messageId": f"of {user}", **fields}
    return json.dumps(message).encode()


class Router:
    """A router.toml and its log."""

    def __init__(self, directory: Path, vendor: str, more: str = OTHER) -> None:
        self.directory = directory
        self.config = directory / "router.toml"
        self.write(vendor, more)
        self.log("heap", "other").close()

    def write(self, vendor: str, more: str) -> None:
        self.config.write_text(
            f'[delivery.origins]\n"https://heapanalytics.com" = "{vendor}"\n'
            '[[connections]]\nname = "heap"\nplugin = "heap"\n'
            'settings = { appId = "11", deletionApiKey = { env = "HEAP_API_KEY" } }\n' + more
        )

    def log(self, *names: str) -> SqliteEventLog:
        return SqliteEventLog(self.directory / "router.db", names)

    def fill(self, bodies: Iterable[bytes], letters: Iterable[bytes] = ()) -> None:
        connection = connect(load_config(self.config).connections[0])
        kept = [
            DeadLetter(
                connection="heap", message_id=f"letter-{number}", offset=number, code="http_400",
                detail="", at=0.0, body=connection.kept(body),
            )
            for number, body in enumerate(letters)
        ]  # fmt: skip
        with contextlib.closing(self.log("heap", "other")) as log:
            asyncio.run(log.append(list(bodies)))
            asyncio.run(log.put(kept))

    def waiting(self, name: str) -> list[str]:
        with contextlib.closing(self.log("heap", "other")) as log:
            asyncio.run(log.append([track("last")]))
            events = asyncio.run(log.read(name, -1, 100))
        return [json.loads(event.body)["messageId"] for event in events[:-1]]

    def letters(self) -> int:
        with contextlib.closing(self.log("heap", "other")) as log:
            return sum(asyncio.run(log.dead_letters()).values())

    def delete(self, *arguments: str) -> tuple[int, str, str]:
        command = ["delete-user", "--config", str(self.config), "--connection", "heap"]
        done = run_command(*command, *arguments, cwd=self.directory)
        return done.returncode, done.stdout, done.stderr

    def audit(self) -> list[dict[str, Any]]:
        return json_lines(self.directory / "deletions.jsonl")


def test_what_waits_and_what_is_dead_is_dropped(tmp_path: Path, vendor: str) -> None:
    """For the connection at whose vendor they are deleted, and for nobody else."""
    router = Router(tmp_path, vendor)
    router.fill([track("ada"), track("bob")], [track("ada"), track("bob"), b"{"])
    status, told, _ = router.delete("--user", "ada", "--dry-run")
    assert (status, "1 dead letter would be removed" in told) == (0, True)
    assert (router.waiting("heap"), router.letters()) == (["of ada", "of bob"], 3)

    status, told, _ = router.delete("--user", "ada")
    assert (status, "1 dead letter removed, 1 waiting event dropped" in told) == (0, True)
    assert router.waiting("heap")[:1] == ["of bob"]
    assert router.waiting("other")[:2] == ["of ada", "of bob"]
    assert router.letters() == 2
    (dropped,) = [entry for entry in router.audit() if entry["event"] == "dropped"]
    assert (dropped["deadLetters"], dropped["dropped"], dropped["waiting"]) == (1, 1, 0)


def test_a_damaged_letter_stops_no_deletion(tmp_path: Path, vendor: str) -> None:
    """It is theirs by what is left of its content; if nothing is, nobody knows, and it goes."""
    router = Router(tmp_path, vendor)
    router.fill([], [track("ada"), track("ada"), track("bob"), track("bob")])
    with contextlib.closing(sqlite3.connect(tmp_path / "router.db")) as database, database:
        database.execute("UPDATE dead_letters SET at = 'x' WHERE id IN (2, 3)")
        database.execute("UPDATE dead_letters SET body = 7 WHERE id = 4")
    status, told, _ = router.delete("--user", "ada")
    assert (status, "3 dead letters removed" in told) == (0, True)
    assert router.letters() == 1


def test_what_a_running_router_has_in_hand_is_told(tmp_path: Path, vendor: str) -> None:
    """It cannot be taken from it: the status says so, and what to do; afterwards it is dropped."""
    router = Router(tmp_path, vendor)
    router.fill([track("ada")], [track("ada")])
    with claim(tmp_path / "router.db"):
        status, told, said = router.delete("--user", "ada", "--wait", "1s")
        assert (status, "1 deleted" in told, "1 still waiting" in told) == (1, True, True)
        assert "stop it, and give the same command again" in said
        assert router.letters() == 0
    assert router.audit()[1]["waiting"] == 1
    status, told, _ = router.delete("--user", "ada", "--json")
    assert status == 0
    assert json.loads(told)["log"] == {"deadLetters": 0, "dropped": 1, "waiting": 0, "traces": 0}
    assert router.waiting("heap") == []


MAPPED = '[connections.mapping.track]\nidentity = { "@path" = "$.properties.email" }\n'
RENAMED = '[[connections.transformations]]\nmove = { "properties.email" = "userId" }\n'


@pytest.mark.parametrize(
    ("theirs", "others"),
    [
        (track("", traits={"id": "ada"}), track("", traits={})),
        (track("", context={"traits": {"userId": "ada"}}), track("", context={"traits": {}})),
        (track("", traits={"id": "ada"}).replace(b"traits", rb"tr\u0061its"), track("")),
        (track("", context=None, traits={"id": "ada"}), track("", context=["traits"])),
    ],
)
def test_a_message_is_theirs_by_an_identity_among_its_traits(
    tmp_path: Path, vendor: str, theirs: bytes, others: bytes
) -> None:
    """Where the dialect takes it from there, however the sender writes it."""
    router = Router(tmp_path, vendor)
    dialect = router.config.read_text().replace('"11",', '"11", dialect = "rudderstack",', 1)
    router.config.write_text(dialect)
    router.fill([theirs, others])
    status, told, said = router.delete("--user", "ada", "--json")
    assert (status, json.loads(told)["log"]["dropped"]) == (0, 1), said


def traced(router: Router, *told: tuple[str, bytes, str]) -> TraceFile:
    """Let a console keep messages: of which connection, the message, what the vendor answered."""
    traces = TraceFile(trace_path(router.directory / "router.db"))
    for number, (connection, body, answer) in enumerate(told):
        exchange = Exchange(at=1.0, seconds=0.1, request={}, messages=2, answer=answer)
        content = TraceContent(body=body.decode() or None, exchanges=(exchange,))
        trace = Trace(
            connection=connection, offset=number, message_id=f"m{number}", type="track", event="",
            source="", received_at=None, at=1.0, result="delivered", content=content,
        )  # fmt: skip
        traces.put([trace], {}, {}, 1.0)
    return traces


def test_what_the_console_keeps_of_them_goes_too(tmp_path: Path, vendor: str) -> None:
    """From every byte of its file; of other connections and other people it stays."""
    router = Router(tmp_path, vendor)
    told = [
        ("heap", track("ada-lovelace"), ""),
        ("heap", track("bob"), ""),
        ("heap", track("bob"), "no such user: ada-lovelace"),
        ("heap", b"", ""),
        ("other", track("bob"), ""),
    ]
    with contextlib.closing(traced(router, *told)) as traces:  # a console that is open meanwhile
        status, told_json, said = router.delete("--user", "ada-lovelace", "--json")
        assert (status, json.loads(told_json)["log"]["traces"]) == (0, 3), said
        assert [each.offset for each in traces.find(TraceFilter())] == [4, 1]
    written = b"".join(each.read_bytes() for each in tmp_path.glob("router.db-console*"))
    assert b"ada-lovelace" not in written
    assert b"bob" in written
    assert router.audit()[1]["traces"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_long_look_into_the_log_ends_when_it_is_told_to(
    tmp_path: Path, vendor: str, number: signal.Signals
) -> None:
    """In its midst, with nothing dropped; the same command does all of it."""
    router = Router(tmp_path, vendor, RENAMED)  # so that each message has to be mapped
    router.fill((track(user) for user in ["ada", *["bob"] * 20_000]), [track("ada")])
    command = [*CLI, "delete-user", "--config", "router.toml", "--connection", "heap"]
    with subprocess.Popen(
        [*INTERRUPTIBLE, *command, "--user", "ada"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        audit = tmp_path / "deletions.jsonl"
        until(lambda: audit.exists() and '"started"' in audit.read_text())
        process.send_signal(number)
        told, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "1 users: 0 deleted, 0 pending, 1 failed" in told
    assert "Interrupted. The same command goes on with the rest." in said
    assert [entry["event"] for entry in router.audit()] == ["started", "interrupted"]
    assert router.letters() == 1
    status, told, _ = router.delete("--user", "ada", "--json")
    assert status == 0
    assert json.loads(told)["log"] == {"deadLetters": 1, "dropped": 1, "waiting": 0, "traces": 0}


@pytest.mark.parametrize(
    ("more", "theirs", "others"),
    [
        ("", track("", anonymousId="phone"), track("ada2", anonymousId="tablet")),
        ("", track("now", type="alias", previousId="ada"), track("ada ada")),
        ("", track("", integrations={"Heap": {"identity": "ada"}}), track("x", event="ada")),
        ("", b'{"userId": "ada", "n": NaN, "type": "track", "event": "E"}', track("Ada")),
        (MAPPED, track("x", properties={"email": "ada"}), track("x", properties={"email": "b"})),
        (RENAMED, track("x", properties={"email": "ada"}), track("x", properties={"email": "b"})),
        (PRIVATE, track(" ada"), track("Ada")),
    ],
)
def test_a_message_is_theirs_by_any_id_that_it_goes_out_under(
    tmp_path: Path, vendor: str, more: str, theirs: bytes, others: bytes
) -> None:
    """By what it carries and by what a mapping, an option or a transformation makes of it."""
    router = Router(tmp_path, vendor, more)
    router.fill([theirs, others], [theirs, others])
    stitched = router.config.read_text().replace('"11",', '"11", anonymousEvents = "stitch",')
    router.config.write_text(stitched)
    status, told, said = router.delete("--user", "ada", "--anonymous", "phone", "--json")
    assert (status, json.loads(told)["log"]) == (
        0,
        {"deadLetters": 1, "dropped": 1, "waiting": 0, "traces": 0},
    ), said


def test_what_the_vendor_cannot_delete_by_is_looked_for_all_the_same(
    tmp_path: Path, vendor: str
) -> None:
    """Anonymous events that still wait need not go out; what everybody carries is let alone."""
    router = Router(tmp_path, vendor)
    router.fill([track("", anonymousId="phone"), track("guest"), track("bob")])
    status, told, _ = router.delete("--user", "ada", "--user", "guest", "--anonymous", "phone")
    assert (status, "1 waiting event dropped" in told) == (1, True)
    assert [line.split() for line in told.splitlines() if "refused" in line] == [
        ["refused", "unsafe_identity", "1"],
        ["refused", "not_deletable", "1"],
    ]


def test_masked_letters_go_under_every_key(tmp_path: Path, vendor: str) -> None:
    """A letter that was masked with an old key is theirs too; an e-mail is so in any casing."""
    router = Router(tmp_path, vendor, PRIVATE)
    router.fill([track("Ada@Example.com")], [track("ADA@example.com"), track("bob@example.com")])
    keys = 'v1 = { env = "MASKING_KEY_1" }'
    router.write(vendor, PRIVATE.replace(keys, f'{keys}, v2 = {{ env = "MASKING_KEY_2" }}'))
    status, told, _ = router.delete("--user", "ada@example.com")
    assert (status, "1 dead letter removed, 1 waiting event dropped" in told) == (0, True)
    assert "2 users" in told


def test_a_vendor_that_is_away_is_told_and_sigterm_says_how_to_go_on(tmp_path: Path) -> None:
    """Whoever watches sees each attempt; whoever stops it reads what is done, and so the audit."""
    router = Router(tmp_path, f"http://127.0.0.1:{closed_port()}")
    command = [*CLI, "delete-user", "--config", "router.toml", "--connection", "heap"]
    with subprocess.Popen(
        [*command, "--user", "ada"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        told, said = process.communicate(timeout=PATIENCE)
    assert first.startswith("attempt 1 of 8 failed (network: http://127.0.0.1:")
    assert "the connection was refused), next try in " in first
    assert process.returncode == 1
    assert "1 users: 0 deleted, 0 pending, 1 failed" in told
    assert "Interrupted. The same command goes on with the rest." in said
    assert router.audit()[-1]["event"] == "interrupted"
