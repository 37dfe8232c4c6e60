"""scripts/differential: a new difference fails, a known one has a row in docs/moving.md."""

from __future__ import annotations

import json
import random
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from program_file import imported

from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
URL = "https://heapanalytics.com/api/track"
PARTNER = "https://heapanalytics.com/api/integrations/track"


differential: Any = imported(ROOT / "scripts" / "differential.py")


def sent(**body: Any) -> list[Any]:
    return [[URL, {"app_id": "11", "identity": "u", "properties": {}, **body}]]


def event(**fields: Any) -> list[Any]:
    return [[PARTNER, {"app_id": "11", "events": [{"event": "E", **fields}]}]]


KNOWN: list[tuple[str, str, dict[str, Any], Any, Any]] = [
    ("segment", "differs-type", {"type": "TRACK", "messageId": "m"}, [], event()),
    ("segment", "differs-type", {"messageId": "m"}, [], "rejected"),
    (
        "segment",
        "differs-message-id",
        {"type": "track", "messageId": " m "},
        event(idempotency_key=" m "),
        event(idempotency_key="m"),
    ),
    ("segment", "differs-message-id", {"type": "track"}, "rejected", event(idempotency_key="x")),
    (
        "segment",
        "differs-null-context",
        {"type": "track", "messageId": "m", "context": None},
        "rejected",
        event(),
    ),
    (
        "segment",
        "differs-prototype",
        {"type": "track", "messageId": "m", "properties": {"__proto__": {"a": 1}, "b": 2}},
        event(custom_properties={"b": "2", "a": "1"}),
        event(custom_properties={"__proto__.a": "1", "b": "2"}),
    ),
    (
        "segment",
        "differs-prototype",
        {"messageId": "m", "properties": {"a": {"__proto__": {"": 1, "__proto__": ""}}}},
        event(custom_properties={"a.": "1", "a.__proto__": ""}),
        event(custom_properties={"a.__proto__.": "1", "a.__proto__.__proto__": ""}),
    ),
    (
        "rudderstack",
        "differs-prototype",
        {"type": "track", "properties": {"a": [{"__proto__": 1}]}},
        "rejected",
        sent(),
    ),
    ("rudderstack", "differs-app-id", {}, sent(app_id="x"), "rejected"),
    ("rudderstack", "differs-app-id-number", {}, sent(app_id=11), sent(app_id="11")),
    (
        "rudderstack",
        "differs-large-numbers",
        {},
        sent(properties={"a": 9007199254740992}),
        sent(properties={"a": 9007199254740993}),
    ),
    (
        "rudderstack",
        "differs-lists",
        {"traits": [{"id": "x"}]},
        sent(identity=["x"]),
        sent(identity="u"),
    ),
]
NEW: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("segment", {"type": "track", "messageId": "m"}, [], event()),
    ("segment", {"type": "TRACK", "messageId": "m"}, "rejected", event()),
    (
        "segment",
        {"type": "track", "messageId": " m "},
        event(idempotency_key=" m ", timestamp="x"),
        event(idempotency_key="m"),
    ),
    (
        "segment",
        {"type": "track", "messageId": "m"},
        event(idempotency_key="n"),
        event(idempotency_key="m"),
    ),
    ("segment", {"type": "track", "messageId": "m", "context": {}}, "rejected", event()),
    (
        "segment",
        {"type": "track", "messageId": "m", "properties": {"__proto__": {"a": 1}, "b": 2}},
        event(custom_properties={"b": "3", "a": "1"}),
        event(custom_properties={"__proto__.a": "1", "b": "2"}),
    ),
    ("rudderstack", {"properties": {"a": 1}}, "rejected", sent()),
    ("rudderstack", {}, sent(app_id="12"), "rejected"),
    ("rudderstack", {}, sent(app_id=11), sent(app_id="12")),
    ("rudderstack", {}, sent(properties={"a": 7}), sent(properties={"a": 8})),
    ("rudderstack", {"traits": [1, 2]}, sent(identity="x"), sent(identity="u")),
    (
        "rudderstack",
        {"traits": [{"id": "x"}]},
        sent(identity=["x"], event="A"),
        sent(identity="u", event="B"),
    ),
]


@pytest.mark.parametrize(("system", "anchor", "message", "real", "here"), KNOWN)
def test_a_known_difference_passes_and_is_named(
    system: str, anchor: str, message: dict[str, Any], real: Any, here: Any
) -> None:
    """By the one rule whose difference it is."""
    assert differential.known_by(system, message, real, here) == [anchor]
    assert differential.report(system, [message], [(real, here)]) == 0


@pytest.mark.parametrize(("system", "message", "real", "here"), NEW)
def test_a_new_difference_is_told(
    system: str,
    message: dict[str, Any],
    real: Any,
    here: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No rule takes more than its own difference; what is new is shown with its message."""
    assert differential.known_by(system, message, real, here) is None
    assert differential.report(system, [message], [(real, here)]) == 1
    assert f"NEW {system}\n  message {json.dumps(message)}" in capsys.readouterr().out


def test_every_rule_has_its_row_and_its_example() -> None:
    """The page names each difference, and each is shown here."""
    rules = {(system, anchor) for system, found in differential.RULES.items() for anchor in found}
    assert {(system, anchor) for system, anchor, *_ in KNOWN} == rules
    anchors = re.findall(r'<a id="(differs-[a-z-]+)"></a>', PAGE)
    assert len(anchors) == len(set(anchors))
    assert {anchor for _, anchor in rules} <= set(anchors)


def test_the_generator_makes_what_is_hostile() -> None:
    """Types, ids, prototypes, large numbers and the envelope, in 3,000 messages."""
    chance = random.Random(1)
    made = [differential.message(chance, index) for index in range(3000)]
    text = json.dumps(made)
    assert {"TRACK", "5", "None"} <= {str(each.get("type")) for each in made}
    assert {" m-1 ", "[]", "None"} <= {str(each.get("messageId")) for each in made}
    assert all(word in text for word in ('"__proto__"', "9007199254740993", '"request_ip"'))


# -- the command ----------------------------------------------------------------------------------

_NODE = """#!{python}
import json, sys
asked = json.load(sys.stdin)["messages"]
print(json.dumps([{answer} for message in asked]))
"""


@pytest.mark.parametrize(("answer", "status"), [("KNOWN", 0), ('{"rejected": "all of them"}', 1)])
def test_the_exit_status_tells_whether_anything_is_new(
    answer: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program stands in for Node: one agrees but for a context, one does not."""
    message = {"type": "track", "messageId": "m-1", "anonymousId": "a", "event": "E"}
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", "dialect": "segment"})
    ((url, body),) = differential.ours(connection, message)
    replies = {False: {"requests": [{"url": url, "json": body}]}, True: {"rejected": "context"}}
    if answer == "KNOWN":
        answer = f"{replies!r}['context' in message]"
    node = tmp_path / "node"
    node.write_text(_NODE.format(python=sys.executable, answer=answer))
    node.chmod(0o755)
    monkeypatch.setattr(differential, "_node", lambda: str(node))
    odd = {**message, "context": None}
    monkeypatch.setattr(differential, "message", lambda _, index: odd if index else message)
    assert differential.main(["--messages", "2"]) == status


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_node_it_skips_with_a_reason_and_fails_in_ci(
    ci: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison that did not happen is never told as one that found nothing."""
    monkeypatch.setattr(differential, "_node", lambda: None)
    monkeypatch.setenv("CI", ci)
    assert differential.main(["--messages", "1"]) == status
    assert "scripts/test-sdks --prepare" in capsys.readouterr().err


@pytest.fixture
def transformer() -> Iterator[str]:
    """Ours in place of RudderStack's: it refuses a request with `__proto__`, as theirs does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            jobs = json.loads(body)
            for job in jobs:
                job["destination"]["Config"]["dialect"] = "rudderstack"
            told = process("heap", find_destinations()["heap"], json.dumps(jobs).encode(), str)
            self.send_response(500 if b"__proto__" in body else 200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_transformer_is_asked_and_a_refused_request_harms_no_neighbour(
    transformer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the message that is the reason counts as rejected there."""
    monkeypatch.setattr(differential, "_node", lambda: None)
    monkeypatch.setenv("CI", "")
    assert differential.main(["--messages", "300", "--transformer", transformer]) == 0
    told = capsys.readouterr().out
    assert re.search(r"rudderstack: 300 messages, [1-9][0-9]* known differences, 0 new", told)
    assert "#differs-prototype" in told
