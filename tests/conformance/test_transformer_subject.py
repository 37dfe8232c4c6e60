"""A transformer's destination as the subject: what the protocol shows is judged, and no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from transformer_process import Transformer
from typer.testing import CliRunner, Result
from waiting import closed_port

from conformance.command import conformance
from conformance.transformer_subject import _request

URL = "https://heapanalytics.com/api/track"
SENT = {"app_id": "11", "event": "Paid", "identity": "ada"}
HEAD = {"endpoint": URL, "method": "POST", "headers": {"Content-Type": "application/json"}}
MADE = {"output": {**HEAD, "body": {"JSON": SENT}}}
FORM = {"output": {**HEAD, "body": {"FORM": {"a": "1"}}}}
WANTED = {"url": URL, "json": SENT}
NO_EVENT = {"reject": {"code": "no_event"}}


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("conformance")(conformance)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    running = Transformer()
    yield running.url
    running.stop()


def test_our_own_transformer_passes_whatever_can_be_seen(ours: str, tmp_path: Path) -> None:
    """Heap's cases, over the socket of a real process: none fails, no check is passed."""
    report = tmp_path / "report.json"
    ran = run("--transformer", ours, "--type", "HEAP", "--json", str(report))
    assert ran.exit_code == 0, ran.output
    told = json.loads(report.read_bytes())
    results: dict[str, str] = {one["id"]: one["result"] for one in told["results"]}
    assert set(results.values()) == {"passed", "unobservable"}
    assert sum(result == "passed" for result in results.values()) > 250
    checks = {result for name, result in results.items() if name.startswith("check/")}
    assert checks == {"unobservable"}
    assert told["result"] == "partial"


def test_each_reason_why_something_is_unseen_is_told(ours: str) -> None:
    """Nothing is passed over in silence."""
    told = run("--transformer", ours, "--type", "heap").stdout
    for reason in ("notes", "packed", "vendor's answer", "beside the settings", "settings can be"):
        assert reason in told


class Foreign(BaseHTTPRequestHandler):
    """A transformer of somebody else's, which answers as the test says."""

    answers: ClassVar[list[Any]] = []
    status = 200
    asked: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        self._say(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Foreign.asked = json.loads(body)
        self._say(json.dumps(Foreign.answers).encode())

    def _say(self, content: bytes) -> None:
        self.send_response(Foreign.status if self.command == "POST" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def foreign() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def cases(folder: Path, expect: dict[str, Any], **settings: str) -> str:
    case = {
        "id": "acme/one",
        "title": "One message",
        "status": "stable",
        "level": "core",
        "source": {"decision": "for a test"},
        "message": {"type": "track", "event": "Paid", "userId": "ada"},
        "expect": expect,
    }
    file = {"defaults": {"settings": {"appId": "11", **settings}}, "cases": [case]}
    (folder / "acme.json").write_text(json.dumps(file))
    return str(folder)


@pytest.mark.parametrize(
    ("answer", "expect", "result"),
    [
        (MADE, {"requests": [WANTED]}, "passed"),
        (MADE, {"requests": [{**WANTED, "headers": HEAD["headers"]}]}, "passed"),
        (MADE, {"requests": [{**WANTED, "json": {}}]}, "failed"),
        (MADE, {"requests": [WANTED], "notes": ["n"]}, "unobservable"),
        (MADE, {"requests": [{**WANTED, "json": {}}], "notes": ["n"]}, "failed"),
        (FORM, {"requests": [{"url": URL, "form": {"a": "1"}}]}, "passed"),
        (MADE, NO_EVENT, "failed"),
        ({"statusCode": 400, "error": "event is required"}, NO_EVENT, "unobservable"),
        ({"statusCode": 400, "error": "no_event: x"}, NO_EVENT, "passed"),
        ({"statusCode": 400, "error": "bad_event: x"}, NO_EVENT, "failed"),
        ({"statusCode": 400, "error": "no"}, {"requests": [WANTED]}, "failed"),
        ({"statusCode": 298, "error": "left out"}, {"ignored": True}, "passed"),
    ],
)
def test_an_answer_is_held_against_a_case(
    answer: dict[str, Any], expect: dict[str, Any], result: str, foreign: str, tmp_path: Path
) -> None:
    """Requests are compared; a rejection counts by its code, which only some transformers say."""
    Foreign.answers, Foreign.status = [answer], 200
    where = ("--transformer", foreign, "--type", "ACME", "--cases", cases(tmp_path, expect))
    ran = run(*where, "--case", "acme/one")
    (told,) = (row for row in ran.stdout.splitlines() if row.startswith("1 case and 0 checks"))
    assert f"1 {result}" in told
    assert ran.exit_code == (1 if result == "failed" else 0)
    if result == "failed":
        assert (
            f"rerun: destination-router conformance --transformer {foreign} --type ACME"
            in ran.stdout
        )


def test_settings_are_rudderstacks_configuration(foreign: str, tmp_path: Path) -> None:
    """What it calls otherwise goes by its own name too."""
    Foreign.answers, Foreign.status = [{"statusCode": 298, "error": ""}], 200
    folder = cases(tmp_path, {"ignored": True}, region="EU")
    run("--transformer", foreign, "--type", "ACME", "--cases", folder, "--case", "acme/one")
    (job,) = Foreign.asked
    assert job["destination"]["Config"] == {"appId": "11", "region": "EU", "dataResidency": "eu"}
    assert job["destination"]["DestinationDefinition"]["Name"] == "ACME"


@pytest.mark.parametrize(("status", "answers"), [(500, []), (200, []), (200, [5])])
def test_an_answer_that_is_none_of_the_protocol_fails(
    status: int, answers: list[Any], foreign: str, tmp_path: Path
) -> None:
    """What a transformer breaks at is no pass."""
    Foreign.answers, Foreign.status = answers, status
    folder = cases(tmp_path, {"ignored": True})
    ran = run("--transformer", foreign, "--type", "ACME", "--cases", folder, "--case", "acme/one")
    assert ran.exit_code == 1
    assert "1 failed" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--transformer", "URL", "--type", "HEAP"], "nothing answers"),
        (["--transformer", "URL"], "go together"),
        (["heap", "--type", "HEAP"], "go together"),
        (["heap", "--transformer", "URL", "--type", "HEAP"], "name one destination"),
        (["--transformer", "URL", "--type", "NOBODY"], "there are no cases of nobody"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(arguments: list[str], told: str) -> None:
    """It is told in one sentence, with status 2."""
    url = f"http://127.0.0.1:{closed_port()}"
    ran = run(*(url if argument == "URL" else argument for argument in arguments))
    assert (ran.exit_code, told in ran.stderr) == (2, True), ran.output


@pytest.mark.parametrize(
    ("body", "content_type", "wanted"),
    [
        ({"GZIP": {"payload": '{"a":1}'}}, "application/json", {"json": {"a": 1}, "gzip": True}),
        ({"XML": {"payload": "<a/>"}}, "text/xml", {"content": "<a/>", "contentType": "text/xml"}),
    ],
)
def test_a_body_that_is_text_is_read(
    body: dict[str, Any], content_type: str, wanted: dict[str, Any]
) -> None:
    """rudder-server packs what stands under GZIP."""
    output = {"endpoint": URL, "headers": {"Content-Type": content_type}, "body": body}
    read = _request(output, ("content-type",))
    assert read == {"method": "POST", "url": URL, "params": {}, "headers": {}, **wanted}
