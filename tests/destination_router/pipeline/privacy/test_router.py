"""HIPAA mode in a running router: what an operator, the vendor and the disk get to see."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import leaks
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner
from waiting import PATIENCE, free_port, until

from destination_router.commands.cli import app
from destination_router.pipeline.privacy.masking import MaskingKeys
from destination_router.service.serving import Asgi

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
KEY = "0123456789abcdef0123456789abcdef"
ADA = MaskingKeys({1: KEY.encode()}).mask("ada.lovelace@example.com")
ELSEWHERE = "what-the-vendor-knows-from-elsewhere"
SECRETS = {
    "ada.lovelace@example.com", "Ada Lovelace", "203.0.113.77", "a lump in the breast",
    "MRN-00420042", "pregnancy-week-12", "Mozilla/Ada", "anonymous-of-ada", "message-of-ada",
    "Diagnosis of Ada", "oncology-department", ELSEWHERE,
}  # fmt: skip
NAMES = {"pregnancy-week-12", "Diagnosis of Ada"}
"""Of fields and events: a report for one person at a time is asked to tell them."""
MESSAGE: dict[str, Any] = {
    "type": "track",
    "messageId": "message-of-ada",
    "userId": "Ada.Lovelace@Example.com",
    "anonymousId": "anonymous-of-ada",
    "event": "Booked",
    "properties": {
        "plan": "gold",
        "reason": "a lump in the breast",
        "pregnancy-week-12": True,
        "mrn": "MRN-00420042",
        "department": "oncology-department",
    },
    "context": {"ip": "203.0.113.77", "userAgent": "Mozilla/Ada", "traits": {"n": "Ada Lovelace"}},
    "integrations": {"Heap": {"identity": "ada.lovelace@example.com"}},
}
MESSAGES = [
    MESSAGE,
    {**MESSAGE, "messageId": "message-of-ada 2", "event": "Diagnosis of Ada"},
    {**MESSAGE, "messageId": "message-of-ada 3", "properties": "a lump in the breast"},
    {**MESSAGE, "messageId": "message-of-ada 4", "type": "Diagnosis of Ada"},
]


class Vendor:
    """Refuses everything, and repeats what it got and what it knows; then takes everything."""

    def __init__(self) -> None:
        self.refuses = True
        self.got: list[Any] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        self.got.append(json.loads(body))
        if self.refuses:
            return PlainTextResponse(f"no: {ELSEWHERE} {body.decode()}", status_code=400)
        return JSONResponse({})


@pytest.fixture
def directory(tmp_path: Path, serve: Callable[[Asgi], str]) -> tuple[Path, Vendor]:
    vendor = Vendor()
    url = serve(vendor.app)
    (tmp_path / "router.toml").write_text(
        f"""
[gateway]
write_keys = ["key"]
[eventlog]
url = "sqlite:///router.db"
[delivery]
first_wait = "10ms"
origins = {{"*" = "{url}"}}
[privacy]
mode = "hipaa"
keys.v1 = {{env = "MASKING_KEY_1"}}
allow = {{events = ["Booked"], properties = ["plan"]}}
[[connections]]
name = "heap"
plugin = "heap"
settings = {{appId = "11"}}
[connections.privacy]
allow = {{events = ["Booked"], properties = ["plan"]}}
"""
    )
    return tmp_path, vendor


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKING_KEY_1", KEY)
    monkeypatch.setenv("COLUMNS", "300")


def command(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


@contextlib.contextmanager
def running(directory: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (directory / "said.log").open("a") as said:
        process = subprocess.Popen(
            [*CLI, "run", "--listen", f"127.0.0.1:{port}"],
            cwd=directory,
            stderr=said,
            env=os.environ,
        )

    def answers() -> bool:
        assert process.poll() is None, (directory / "said.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/ready").status_code == 200
        return False

    try:
        until(answers)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)


def metric(url: str, name: str) -> float:
    found = re.findall(rf"^{name}\S* (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_nothing_personal_is_seen_by_anyone(
    directory: tuple[Path, Vendor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests, logs, metrics, dead letters and commands show none of it; a replay is exact."""
    folder, vendor = directory
    monkeypatch.chdir(folder)
    with running(folder) as url:
        answer = httpx.post(f"{url}/v1/batch", json={"batch": MESSAGES}, auth=("key", ""))
        assert answer.status_code == 200
        until(lambda: metric(url, "router_rejected_total") == 3)
        until(lambda: metric(url, "router_filtered_total") == 1)
        outputs = [answer.text, httpx.get(f"{url}/metrics").text]
        vendor.refuses = False
        refused = list(vendor.got)
        letters = command("dead-letters", "list", "--json")
        outputs += [
            letters,
            command("dead-letters", "list", "--content"),
            command("dead-letters", "show", "--content"),
            command("dead-letters", "export"),
            command("eventlog", "status"),
            command("dead-letters", "replay", "--code", "http_400"),
        ]
        until(lambda: len(vendor.got) > len(refused))
        outputs.append(httpx.get(f"{url}/metrics").text)
    with contextlib.closing(sqlite3.connect(folder / "router.db")) as database:
        for table in ("dead_letters", "pairings", "quarantine", "connections"):
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                outputs += map(repr, database.execute(f"SELECT * FROM {table}").fetchall())
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, MESSAGES)))
    config = ("--config", "router.toml", "events.jsonl")
    outputs += [
        (folder / "said.log").read_text(),
        json.dumps(vendor.got),
        command("try", *config),
        command("try", "--json", *config),
        command("send", *config),
        command("check", "--config", "router.toml"),
        command("privacy", "report", *config),
        command("privacy", "report", "--people", "1", "--json", *config),
    ]
    assert not leaks.leaked(SECRETS, outputs[:-1])
    assert not leaks.leaked(SECRETS - NAMES, outputs[-1:])
    assert [json.loads(line)["code"] for line in letters.splitlines()].count("http_400") == 1
    assert vendor.got[len(refused)] in refused
    assert vendor.got[len(refused)]["identity"] == ADA
