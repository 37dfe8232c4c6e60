"""`diff`: what would change, message by message and in a summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.commands.diff import Change, compare

MESSAGES = [
    {
        "type": "track",
        "messageId": "m-00000001",
        "anonymousId": "a-1",
        "event": "Paid",
        "properties": {"n": 1},
    },
    {"type": "identify", "messageId": "m-00000002", "userId": "ada", "traits": {"plan": "pro"}},
    {"type": "group", "messageId": "m-00000003", "userId": "ada", "groupId": "acme"},
]


@pytest.fixture
def messages(tmp_path: Path) -> str:
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(json.dumps(message) + "\n" for message in MESSAGES))
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["diff", *arguments])


def test_two_dialects_are_compared_message_by_message(messages: str) -> None:
    """Each message that would change is shown with what changes; the rest is only counted."""
    done = run("--from", "segment", "--to", "heap", messages)
    assert done.exit_code == 0, done.output
    assert "line 1  track m-00000001" in done.output
    assert "identify m-00000002" not in done.output
    assert '    - "filtered"\n    + "requests"' in done.output
    assert "3 messages: 1 the same, 2 would change" in done.output
    assert "1  requests.*.json.events.*.custom_properties.segment_library" in done.output


def test_a_dialect_does_not_differ_from_its_other_name(messages: str) -> None:
    """Syft and segment are one."""
    done = run("--from", "syft", "--to", "segment", "--json", messages)
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [line["changes"] for line in lines[:3]] == [[], [], []]
    assert lines[3] == {"summary": {"messages": 3, "the same": 3, "paths": {}}}


def test_two_configurations_are_compared(messages: str, tmp_path: Path) -> None:
    """A change of any setting or mapping shows."""
    paths = []
    for name, event in (("today", "$.event"), ("tomorrow", "$.properties.n")):
        path = tmp_path / f"{name}.toml"
        path.write_text(
            '[[connections]]\nname = "h"\nplugin = "heap"\n[connections.settings]\nappId = "1"\n'
            f'[connections.mapping.track]\nevent = {{ "@path" = "{event}" }}\n'
        )
        paths += ["--config", str(path)]
    done = run(*paths, "--json", messages)
    first = json.loads(done.output.splitlines()[0])
    assert first == {
        "line": 1,
        "messageId": "m-00000001",
        "changes": [{"path": "requests.0.json.events.0.event", "before": '"Paid"', "after": '"1"'}],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--from", "heap"],
        ["--from", "heap", "--to", "esperanto"],
        ["--config", "one.toml"],
        ["--from", "heap", "--to", "heap", "--plugin", "none"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], messages: str) -> None:
    """Exit status 2, and no traceback."""
    done = run(*arguments, messages)
    assert done.exit_code == 2
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_types_differ_as_values_do() -> None:
    """1, 1.0, "1" and true are four values."""
    decision = {"result": "requests", "reject": None, "reason": None}
    values = [1, 1.0, "1", True]
    for one in values:
        for other in values:
            shown = [{**decision, "requests": [{"json": {"a": value}}]} for value in (one, other)]
            changes = list(compare(*shown))
            assert bool(changes) is (one is not other)


def test_a_request_more_or_less_is_one_change() -> None:
    """What is sent in addition is named, not taken apart."""
    decision: dict[str, Any] = {"result": "requests", "reject": None, "reason": None}
    request = {"method": "POST", "url": "https://x.example/"}
    none, one = {**decision, "requests": []}, {**decision, "requests": [request]}
    assert list(compare(none, one)) == [Change("requests.0", None, "POST https://x.example/")]
    assert list(compare(one, none)) == [Change("requests.0", "POST https://x.example/", None)]
