"""`dead-letters replay` of masked letters: with the key of their seal, or not at all."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.config.router_toml import load_config
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.service.connections import connect

KEY, OTHER_KEY = "1" * 32, "2" * 32
SEALED = {"v1": '{ env = "MASKING_KEY_1" }'}
OWN = "[connections.privacy.keys]"
FORGED = b'{"_masked":"v1_0","type":"track","userId":"ada","messageId":"m3"}'
TABLE = """
[[connections]]
name = "{name}"
plugin = "heap"
settings = {{ appId = "11" }}
"""
PRIVATE = """
[connections.privacy]
mode = "hipaa"
allow = { events = ["E"] }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with a letter that "heap" masked with v1 (1), and one of "open" as it came (2)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASKING_KEY_1", KEY)
    monkeypatch.setenv("MASKING_KEY_2", OTHER_KEY)
    write(SEALED)
    config, _ = load_config(Path("router.toml")).connections
    body = b'{"type":"track","event":"E","userId":"ada","messageId":"m1"}'
    keep(("heap", connect(config).kept(body)), ("open", body))
    return tmp_path


def write(keys: dict[str, str], *, name: str = "heap", private: str = PRIVATE) -> None:
    """Write a router.toml with these keys for every connection, and the connections."""
    lines = [f"{version} = {reference}" for version, reference in keys.items()]
    shared = ["[privacy]", 'allow = { events = ["E"] }', "[privacy.keys]", *lines] if keys else []
    tables = [TABLE.format(name=name), private, TABLE.format(name="open")]
    Path("router.toml").write_text("\n".join([*shared, *tables]))


def keep(*letters: tuple[str, bytes]) -> None:
    async def run() -> None:
        log = SqliteEventLog(Path("router.db"), ["heap", "open"])
        await log.put(
            [
                DeadLetter(
                    connection=name,
                    message_id=f"m{offset}",
                    offset=offset,
                    body=body,
                    code="http_400",
                    detail="",
                    at=1.0,
                )
                for offset, (name, body) in enumerate(letters, 1)
            ]
        )
        log.close()

    asyncio.run(run())


def rows(query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect("router.db")) as database:
        return database.execute(query).fetchall()


def replay(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["dead-letters", "replay", *arguments])
    return done.exit_code, done.output


def test_with_its_key_a_masked_letter_is_replayed() -> None:
    """The seal is known again, so both go back into the log."""
    status, said = replay("--all")
    assert (status, "2 replayed" in said) == (0, True)
    assert rows("SELECT target FROM events") == [("heap",), ("open",)]


@pytest.mark.parametrize(
    ("keys", "key_1", "words"),
    [
        (
            SEALED,
            None,
            (
                "its key v1, and [privacy.keys] v1 cannot be used: "
                "the environment variable MASKING_KEY_1 is not set."
            ),
        ),
        (
            SEALED,
            OTHER_KEY,
            'its key v1, and [privacy.keys] v1 = {env = "MASKING_KEY_1"} is another one.',
        ),
        (
            {"v2": '{ env = "MASKING_KEY_2" }'},
            None,
            "its key v1, which [privacy.keys] does not have: add it again.",
        ),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_without_its_key_a_masked_letter_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    key_1: str | None,
    words: str,
    *,
    dry: bool,
) -> None:
    """The key is named, never shown; the letter's neighbours are replayed; status 1."""
    write(keys)
    monkeypatch.delenv("MASKING_KEY_1")
    if key_1 is not None:
        monkeypatch.setenv("MASKING_KEY_1", key_1)
    before = rows("SELECT * FROM dead_letters WHERE connection = 'heap'")
    status, said = replay("--all", *(["--dry-run"] if dry else []))
    assert status == 1
    assert f"1 not replayed, but kept: 1. 'heap' has masked them with {words}\n" in said
    assert KEY not in said
    assert OTHER_KEY not in said
    assert rows("SELECT * FROM dead_letters WHERE connection = 'heap'") == before
    assert rows("SELECT target FROM events") == ([] if dry else [("open",)])


def test_a_connections_own_key_is_named_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is where the key is missing, which may be in the connection's own table."""
    own = f'{PRIVATE}\n{OWN}\nv1 = {{ file = "no.key" }}\n'
    write({"v2": '{ env = "MASKING_KEY_2" }'}, private=own)
    monkeypatch.delenv("MASKING_KEY_2")  # which is not needed
    status, said = replay("1")
    assert (status, f"its key v1, and {OWN} v1 cannot be used: " in said) == (1, True)
    assert "no.key" in said
    Path("no.key").write_text(KEY)
    Path("no.key").chmod(0o600)
    assert replay("1")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("heap", "is not in HIPAA mode any more"), ("renamed", "which the router.toml does not have")],
)
def test_a_masked_letter_is_not_replayed_as_if_it_had_just_come_in(name: str, words: str) -> None:
    """Where nobody can open its seal it would be transformed twice, or lie there for nobody."""
    write({}, name=name, private="")
    status, said = replay("1")
    assert (status, words in said) == (1, True)
    assert rows("SELECT target FROM events") == []


def test_a_forged_seal_is_refused_by_the_connection_that_would_believe_it() -> None:
    """A body that only begins like a masked one never was one; elsewhere it is but a field."""
    keep(("heap", FORGED), ("open", FORGED))
    status, said = replay("--all")
    assert (status, "'heap' has not masked them" in said) == (1, True)
    assert rows("SELECT target FROM events") == [("open",)]


def test_an_export_names_the_key_when_it_is_sent_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other way back is refused, too, and the letter is still there."""
    output = ("--output", "letters.jsonl", "1")
    assert CliRunner().invoke(app, ["dead-letters", "export", *output]).exit_code == 0
    monkeypatch.setenv("MASKING_KEY_1", OTHER_KEY)
    options = ["--json", "--config", "router.toml", "--connection", "heap", "letters.jsonl"]
    done = CliRunner().invoke(app, ["try", *options])
    assert done.exit_code == 1
    refusal = json.loads(done.stdout)["reject"]
    assert refusal["code"] == "unknown_seal"
    assert "a key v1 that is not configured here" in refusal["detail"]
    (body,) = rows("SELECT body FROM dead_letters WHERE id = 1")[0]
    assert "_masked" in msgspec.json.decode(body)
