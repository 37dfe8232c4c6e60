"""`privacy report`: which fields there are and which pass, never a value; lists to start from.

Modules: `pipeline/privacy/report.py`, `commands/privacy_report.py`.
"""

import json
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.pipeline.privacy.config import load_allowed
from destination_router.pipeline.privacy.report import _LOOKS_PERSONAL

CONFIG = """
[[connections]]
name = "heap"
plugin = "heap"
settings = { appId = "11" }
transformations = [{ rename_event = { Bought = "Paid" } }]
[connections.privacy]
mode = "hipaa"
allow = { events = ["Paid"], properties = ["plan", "cart.*"] }
[privacy]
keys.v1 = { env = "A_KEY_THAT_A_REPORT_DOES_NOT_NEED" }
allow = { events = ["Paid"], properties = ["plan", "cart.items.sku"] }
"""


def track(user: str, event: str = "Bought", **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, "properties": properties}


MESSAGES = [
    track("u1", plan="p", cart={"items": [{"sku": "a", "n": 1}, {"sku": "b"}]}, email="x@y.z"),
    track("u2", plan="q", cart={"items": [{"sku": "c", "n": 1}]}, email="x@y.z"),
    track("u2", event="Letter to u2", **{"visit of u2": 1, "ada@example.com": 2}),
    track("u3", **{"ada@example.com": 2}),
    {"type": "identify", "userId": "u1", "traits": {"plan": "p"}, "context": {"ip": "203.0.113.7"}},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "router.toml").write_text(CONFIG)
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, MESSAGES)) + "\n{\n")
    return tmp_path


def report(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["privacy", "report", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(*arguments: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    lines = map(json.loads, report("--json", *arguments).splitlines())
    return {(r["list"], r["name"]): (r["seen"], r["passed"], r["dropped"]) for r in lines}


@pytest.mark.usefixtures("folder")
def test_fields_are_counted_by_what_becomes_of_them() -> None:
    """A field is counted once a message, after the transformations, and held against both lists."""
    found = rows("events.jsonl", "--config", "router.toml")
    assert found["events", "Paid"] == (3, 3, 0)
    assert found["properties", "plan"] == (2, 2, 0)
    assert found["properties", "cart.items.sku"] == (2, 2, 0)
    assert found["properties", "cart.items.n"] == (2, 0, 2)


def test_no_name_is_proposed_for_tracks_that_have_none(folder: Path) -> None:
    """They never pass; pages without a name do if the empty name is listed."""
    lines: list[dict[str, Any]] = [
        {"type": kind, "userId": f"u{user}", "messageId": f"{kind}{user}", "properties": {"a": 1}}
        for kind in ("track", "page")
        for user in range(3)
    ]
    (folder / "nameless.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = tomllib.loads(report("nameless.jsonl", "--toml"))
    assert "events" not in found
    assert found["pages"] == [""]


def test_an_empty_event_name_is_a_name(folder: Path) -> None:
    """A track that has it passes if it is listed, and so it is counted."""
    lines = [json.dumps(track(f"u{user}", event="")) for user in range(3)]
    (folder / "empty.jsonl").write_text("\n".join(lines))
    assert tomllib.loads(report("empty.jsonl", "--toml"))["events"] == [""]
    listed = (folder / "router.toml").read_text().replace('events = ["Paid"]', 'events = [""]')
    (folder / "router.toml").write_text(listed)
    assert rows("empty.jsonl", "--config", "router.toml")["events", ""] == (3, 3, 0)


@pytest.mark.usefixtures("folder")
def test_a_name_that_may_be_personal_is_not_shown() -> None:
    """What one person alone sent, and what looks like a value, is counted without its name."""
    text = report("events.jsonl") + report("events.jsonl", "--json", "--people", "1")
    assert "ada@example.com" not in text
    assert "u2" not in report("events.jsonl")
    hidden = "<names that are not shown>"
    assert rows("events.jsonl")["properties", hidden] == (3, 0, 3)
    assert rows("events.jsonl")["events", hidden] == (1, 0, 1)
    assert rows("events.jsonl", "--people", "1")["events", "Letter to u2"] == (1, 0, 1)


@pytest.mark.usefixtures("folder")
def test_what_is_hidden_is_explained() -> None:
    """A reader learns why, and what would show it."""
    done = CliRunner().invoke(app, ["privacy", "report", "events.jsonl"])
    told = " ".join(done.stderr.split())
    assert "<names that are not shown>: names that fewer than 2 people sent" in told
    assert "--people 1" in told


def test_one_person_is_one_however_many_ids_they_have(folder: Path) -> None:
    """A visitor who signs in is nobody else, and a message without an id is nobody's."""
    named = {"type": "track", "event": "E", "properties": {"visits": {"ada_lovelace": 1}}}
    whose: list[dict[str, Any]] = [
        {"anonymousId": "a1"},
        {"anonymousId": "a1", "userId": "u1"},
        {"userId": " U1@clinic.example"},
        {"userId": "u1@clinic.example"},
        {"userId": "undefined"},
        {},
    ]
    lines = [json.dumps({**named, **ids, "messageId": f"m{n}"}) for n, ids in enumerate(whose)]
    for some in (lines[:2], lines[2:4], lines[4:]):
        (folder / "one.jsonl").write_text("\n".join(some))
        assert "ada" not in report("one.jsonl")
    (folder / "one.jsonl").write_text("\n".join(lines[:3]))
    assert "ada" not in report("one.jsonl")  # two users, of whom one may be the one visitor
    (folder / "one.jsonl").write_text("\n".join(lines[1:3]).replace('"a1"', "null"))
    assert "ada_lovelace" in report("one.jsonl")


def test_a_name_below_a_path_that_passes_is_not_written_down_anywhere(folder: Path) -> None:
    """`cart.*` names none of the fields below it: what one person sent there stays hidden."""
    (folder / "one.jsonl").write_text(json.dumps(track("u1", cart={"items": {"ada": 1}})))
    wide = CONFIG.replace('"cart.items.sku"', '"cart.*"')
    (folder / "router.toml").write_text(wide)
    arguments = ("one.jsonl", "--config", "router.toml")
    assert "ada" not in report(*arguments)
    assert rows(*arguments)["properties", "<names that are not shown>"] == (1, 1, 0)


def test_a_name_is_no_markup(folder: Path) -> None:
    """Whatever senders call an event."""
    lines = [json.dumps(track(user, event="[/foo] x")) for user in ("u1", "u2")]
    (folder / "odd.jsonl").write_text("\n".join(lines))
    assert "[/foo] x" in report("odd.jsonl")


@pytest.mark.usefixtures("folder")
def test_no_value_is_shown() -> None:
    """Whatever the form of the report, it holds names and counts."""
    for form in ((), ("--json",), ("--toml",)):
        text = report("events.jsonl", "--people", "1", *form)
        assert not any(value in text for value in ("x@y.z", "203.0.113.7", '"p"'))


@pytest.mark.usefixtures("folder")
def test_the_proposal_can_be_used_as_it_is() -> None:
    """The lists are TOML that a connection takes, without what sounds personal."""
    text = report("events.jsonl", "--toml")
    assert tomllib.loads(text) == {
        "events": ["Bought"],
        "properties": ["cart.items.n", "cart.items.sku", "plan"],
    }
    assert '    # "email",' in text.splitlines()
    Path("allow.toml").write_text(text)
    table = {"mode": "hipaa", "allow": {"file": "allow.toml"}}
    config = ConnectionConfig(
        name="heap", plugin="heap", privacy=table, shared=SharedConfig(privacy=table)
    )
    assert load_allowed(config).events == {"Bought"}


@pytest.mark.usefixtures("folder")
def test_the_live_log_is_read_where_it_is() -> None:
    """Without a file, the report is about what waits in the log, and changes nothing there."""
    log = SqliteEventLog(Path("router.db"), ["heap"])
    log.close()
    with sqlite3.connect("router.db") as database:
        query = "INSERT INTO events (received_at, partition, body) VALUES (0, '', ?)"
        database.executemany(query, [(json.dumps(message).encode(),) for message in MESSAGES])
    database.close()
    assert rows("--config", "router.toml") == rows("events.jsonl", "--config", "router.toml")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("how", [[], ["--toml"], ["--json"]])
def test_a_log_without_events_is_told(how: list[str]) -> None:
    """Where everything is delivered there is nothing to see, and a table of nothing says less."""
    SqliteEventLog(Path("router.db"), ["heap"]).close()
    done = CliRunner().invoke(app, ["privacy", "report", "--config", "router.toml", *how])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Nothing was seen: router.db holds no message now" in done.stderr
    assert "keep_delivered" in done.stderr


def test_what_is_said_to_the_connection_and_a_category_are_seen(folder: Path) -> None:
    """Both have a list that lets them pass, so both are reported."""
    options = {"All": True, "heap": {"session_id": "s"}, "other": {"secret": 1}}
    page = {"type": "page", "category": "c", "integrations": options}
    messages = [{**page, "userId": f"u{n}"} for n in range(2)]
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, messages)))
    seen = rows("events.jsonl", "--config", "router.toml")
    assert seen["integrations", "session_id"] == seen["properties", "category"] == (2, 0, 2)
    assert ("integrations", "secret") not in seen


def test_something_has_to_be_named() -> None:
    """A report about nothing is wrong usage."""
    assert CliRunner().invoke(app, ["privacy", "report"]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "personal"),
    [
        ("ip", True),
        ("request_ip", True),
        ("ip_address", True),
        ("client_ip", True),
        ("clientIp", True),
        ("lastIP", True),
        ("ship", False),
        ("shipping", False),
        ("tip_given", False),
        ("recipe", False),
    ],
)
def test_an_address_on_the_internet_sounds_personal_however_it_is_called(
    name: str, *, personal: bool
) -> None:
    """A gateway writes `request_ip` into every event: no proposal may let it pass."""
    assert (_LOOKS_PERSONAL.search(name) is not None) is personal
