"""A case from what a destination makes of a message.

Modules: `recording.py`, `record_command.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from conformance.case import CaseError, load_cases
from conformance.command import conformance
from conformance.record_command import record
from conformance.recording import MADE_UP, shareable_settings, suggested_id, with_case

TRACK = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "Order Completed"}
DECIDED = {"decision": "We decided it so."}


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command("record")(record)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def passes(folder: Path, name: str = "heap") -> Result:
    app = typer.Typer()
    app.command("conformance")(conformance)
    return CliRunner().invoke(app, [name, "--cases", str(folder)])


def filled_in(path: Path) -> None:
    """Do what a person does: say the rule, and where it stands."""
    document = json.loads(path.read_text())
    for case in document["cases"]:
        case["title"], case["source"] = "An order is an event", DECIDED
    path.write_text(json.dumps(document))


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message.json"
    path.write_text(json.dumps(TRACK))
    return path


def test_a_case_passes_once_a_person_has_filled_it_in(tmp_path: Path, message: Path) -> None:
    """Until then the suite refuses it, and says what to fill in."""
    recorded = run("heap", message, "--set", "appId=1")
    assert recorded.exit_code == 0, recorded.output
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "track.json").write_text(recorded.stdout)
    with pytest.raises(CaseError) as refused:
        load_cases(cases)
    source, title = str(refused.value).splitlines()
    assert source.startswith("track.json: case track/order-completed: source: say where the rule")
    assert title == "track.json: case track/order-completed: title: say the rule, as a sentence"

    filled_in(cases / "track.json")
    (case,) = load_cases(cases).cases
    assert case.expect.requests is not None
    assert case.expect.requests[0]["json"]["event"] == "Order Completed"
    assert "1 case and" in passes(cases).stdout


def test_cases_are_appended_as_a_shell_does(tmp_path: Path, message: Path) -> None:
    """`record … >> cases/track.json`, twice."""
    cases = tmp_path / "cases"
    cases.mkdir()
    for name in ("track/one", "track/two"):
        with (cases / "track.json").open("a") as file:
            file.write(run("heap", message, "--set", "appId=1", "--id", name).stdout)
    text = (cases / "track.json").read_text().replace('"title": "TODO"', '"title": "A rule"')
    decided, times = re.subn(r'"source": \{[^}]*\}', f'"source": {json.dumps(DECIDED)}', text)
    assert times == 2
    (cases / "track.json").write_text(decided)
    assert [case.id for case in load_cases(cases).cases] == ["track/one", "track/two"]


def test_into_adds_behind_the_others_and_changes_nothing_else(
    tmp_path: Path, message: Path
) -> None:
    """The file keeps its own layout; an id is never given twice."""
    path = tmp_path / "cases" / "track.json"
    for _ in range(2):
        assert run("heap", message, "--set", "appId=1", "--into", path).exit_code == 0
    before = path.read_text()
    assert run("heap", message, "--set", "appId=1", "--into", path).exit_code == 0
    assert path.read_text().startswith(before[: before.rindex("}\n  ]")])
    assert [case["id"] for case in json.loads(path.read_text())["cases"]] == [
        "track/order-completed",
        "track/order-completed-2",
        "track/order-completed-3",
    ]


def test_several_messages_are_one_packed_case(tmp_path: Path) -> None:
    """Each gets a `messageId` of its own where it has none."""
    path = tmp_path / "messages.jsonl"
    bare = {name: value for name, value in TRACK.items() if name != "messageId"}
    path.write_text(f"{json.dumps(bare)}\n{json.dumps(bare)}\n")
    (case,) = json.loads(run("heap", path, "--set", "appId=1").stdout)["cases"]
    assert [each["messageId"] for each in case["messages"]] == ["m-00000001", "m-00000002"]
    assert len(case["expect"]["requests"]) == 1


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "track", "userId": "ada"}, {"reject": {"code": "missing_event"}, "notes": []}),
        ({"type": "alias", "userId": "a", "previousId": "b"}, {"ignored": True, "notes": []}),
    ],
)
def test_a_rejection_and_a_silence_are_expectations_too(
    tmp_path: Path, message: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What is not sent is as much a rule as what is."""
    path = tmp_path / "message.json"
    path.write_text(json.dumps(message))
    (case,) = json.loads(run("heap", path, "--set", "appId=1").stdout)["cases"]
    assert case["expect"] == expected


def test_a_secret_never_gets_into_a_case() -> None:
    """What the schema marks `writeOnly` is replaced before anything is made of it."""
    schema = {
        "type": "object",
        "properties": {"key": {"type": "string", "writeOnly": True}, "app": {"type": "string"}},
    }
    settings = {"key": "hunter2-hunter2", "app": "1"}
    assert shareable_settings(schema, settings) == {"key": MADE_UP, "app": "1"}


def test_a_router_tomls_connection_is_told_with_the_case(tmp_path: Path, message: Path) -> None:
    """Its subscription and transformations decide what is sent, so they belong to the case."""
    config = tmp_path / "router.toml"
    config.write_text(
        '[[connections]]\nname = "h"\nplugin = "heap"\nsubscription = \'type = "identify"\'\n'
        'settings = { appId = "1" }\n'
    )
    (case,) = json.loads(run(message, "--config", config).stdout)["cases"]
    assert case["connection"] == {"subscription": 'type = "identify"'}
    assert case["expect"] == {"ignored": True, "notes": []}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("heap",), "name a file of messages, or - for standard input"),
        (("heap", "MESSAGE", "--id", "Track"), "must look like track/order-completed"),
        (("heap", "MESSAGE", "--id", "track/a", "--into", "page.json"), "must begin with page/"),
        (("heap", "none.json"), "none.json"),
        (("heap", "MESSAGE", "--config", "r.toml"), "give the file alone, without 'heap'"),
    ],
)
def test_wrong_usage_is_told(message: Path, arguments: tuple[str, ...], told: str) -> None:
    """One sentence, status 2."""
    given = [str(message) if each == "MESSAGE" else each for each in arguments]
    ran = run(*given, "--set", "appId=1") if "--config" not in given else run(*given)
    assert ran.exit_code == 2
    assert told in ran.stderr


def test_what_is_no_case_file_is_not_added_to() -> None:
    """A file whose cases do not stand at its end is left alone."""
    with pytest.raises(ValueError, match="at its end"):
        with_case('{"cases": [], "description": "d"}', {"id": "a/b"})


def test_an_id_is_made_from_what_was_done() -> None:
    """Of its event or name; else of its type; with a number where that is taken."""
    assert suggested_id({"type": "page", "name": "Über uns!"}, "", []) == "page/ber-uns"
    assert suggested_id({"type": "identify"}, "", ["identify/identify"]) == "identify/identify-2"
    assert suggested_id({"type": 7, "event": "***"}, "", []) == "recorded/recorded"


def test_it_is_a_command_of_the_router(message: Path) -> None:
    """The router finds it by its entry point."""
    command = [
        sys.executable,
        "-m",
        "destination_router.commands.cli",
        "record",
        "heap",
        str(message),
    ]
    ran = subprocess.run([*command, "--set", "appId=1"], capture_output=True, check=True)
    assert json.loads(ran.stdout)["cases"][0]["id"] == "track/order-completed"
