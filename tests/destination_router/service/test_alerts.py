"""`[alerts]`: a real receiver is told, and one that is not there is in nobody's way."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import router_process
from rough_server import RoughServer
from router_process import Router, command, toml
from waiting import PATIENCE, closed_port, until

from destination_router.config.router_toml import AlertsConfig
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.service import alert_rules
from destination_router.service import alerts as module
from destination_router.service.alert_messages import Origin
from destination_router.service.alert_rules import Sight
from destination_router.service.alerts import Alerts
from destination_router.service.serving import Asgi

HELD = Sight(held={"US": ["http_401"]})
ORIGIN = Origin("router-1", "run")
SECRET = "/services/T000/secret-of-the-receiver"
PATIENT = f"""
from destination_router.commands.cli import main
from destination_router.service import alerts
alerts._TIMEOUT = {10 * PATIENCE}
main()
"""
"""A command that waits for a receiver longer than any test does."""


class Receiver:
    """Takes alerts, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.statuses: list[int] = []
        """The next answers; 200 beyond."""
        self.headers: Mapping[str, str] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        content, more = b"", True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        status = self.statuses.pop(0) if self.statuses else 200
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
        if status == 200:
            self.bodies.append((scope["path"], json.loads(content)))

    def told(self) -> list[tuple[str, str, str | None]]:
        """Each alert: what, of which connection, and whether it begins or ends."""
        return [
            (alert["alert"], alert["connection"], alert["state"])
            for _, body in self.bodies
            for alert in body["alerts"]
        ]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def receiver_url(serve: Callable[[Asgi], str], receiver: Receiver) -> str:
    return serve(receiver) + SECRET


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_LOOK_PAUSE": 0.01,
        "_CHECK_PAUSE": 0.01,
        "_CHECK_TIMEOUT": 0.05,
        "_TIMEOUT": 1.0,
        "_FIRST_WAIT": 0.01,
        "_LONGEST_WAIT": 0.05,
    }.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(alert_rules, "_OVER_AFTER", 0.05)


class Process:
    """What a process sees, to be changed, and its alerts."""

    def __init__(self, settings: AlertsConfig | None) -> None:
        self.sight = Sight()
        self.check: Callable[[], Any] = self.writable
        self.alerts = Alerts(settings, ORIGIN, self.see, self.check_log)

    def see(self) -> Sight:
        return self.sight

    async def check_log(self) -> None:
        await self.check()

    async def writable(self) -> None:
        pass

    async def full(self) -> None:
        raise LogUnavailableError("the disk is full")

    async def hung(self) -> None:
        await asyncio.Event().wait()


def config(url: str, **settings: Any) -> AlertsConfig:
    return AlertsConfig(url=url, interval=0.0, **settings)


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- another thread has no asyncio.Event
            await asyncio.sleep(0.01)


def told_by_us(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, but for what HTTP's libraries say where nobody has told them not to."""
    records = [vars(line) for line in caplog.records if line.name.startswith("destination_router")]
    return json.dumps(records, default=str)


def run(process: Process, story: Callable[[Process], Any]) -> None:
    """Let a process's alerts work while a story is told."""

    async def main() -> None:
        working = asyncio.create_task(process.alerts.work())
        try:
            await story(process)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.usefixtures("_hurried")
def test_a_receiver_is_told_of_beginnings_and_ends(receiver: Receiver, receiver_url: str) -> None:
    """Of the log too: one that is full, and one that says nothing at all."""

    async def story(process: Process) -> None:
        process.sight = HELD
        await eventually(lambda: receiver.told() == [("connection_held", "US", "begins")])
        process.sight = Sight()
        await eventually(lambda: receiver.told()[1:] == [("connection_held", "US", "ends")])
        for check in (process.full, process.hung):
            receiver.bodies.clear()
            process.check = check
            await eventually(lambda: receiver.told() == [("log_not_writable", None, "begins")])
            if check == process.hung:
                return
            process.check = process.writable
            await eventually(lambda: receiver.told()[1:] == [("log_not_writable", None, "ends")])

    run(Process(config(receiver_url)), story)
    assert {path for path, _ in receiver.bodies} == {SECRET}


@pytest.mark.usefixtures("_hurried")
def test_an_alert_is_tried_again(
    receiver: Receiver, receiver_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After a few failures the log says so, without the address, which is a secret."""
    receiver.statuses = [500, 429, 503, 500, 404, 400]
    process = Process(config(receiver_url))

    async def story(process: Process) -> None:
        process.sight = HELD
        await eventually(lambda: process.alerts.posts["200"])

    with caplog.at_level(logging.INFO):
        run(process, story)
    assert receiver.told() == [("connection_held", "US", "begins")]
    posts = {"500": 2, "429": 1, "503": 1, "404": 1, "400": 1, "200": 1}
    assert process.alerts.posts == posts
    failed = [vars(line) for line in caplog.records if line.message == "alerts_not_sent"]
    assert [(line["detail"], line["count"]) for line in failed] == [
        ("the receiver answered 500", 1),
        ("the receiver answered 404", 1),
        ("the receiver answered 400", 1),
    ]
    assert SECRET not in told_by_us(caplog)


@pytest.mark.usefixtures("_hurried")
def test_a_redirect_is_not_followed(receiver: Receiver, receiver_url: str) -> None:
    """It could carry alerts to a stranger."""
    receiver.statuses = [307]
    receiver.headers = {"location": "/elsewhere"}

    async def story(process: Process) -> None:
        process.sight = HELD
        await eventually(lambda: process.alerts.posts["200"])

    process = Process(config(receiver_url))
    run(process, story)
    assert process.alerts.posts == {"307": 1, "200": 1}
    assert {path for path, _ in receiver.bodies} == {SECRET}


@pytest.mark.usefixtures("_hurried")
def test_what_is_over_before_the_receiver_is_back_is_not_told(
    receiver: Receiver, receiver_url: str
) -> None:
    """What lasts, is."""
    receiver.statuses = [500] * 5

    async def story(process: Process) -> None:
        process.sight = Sight(held={"US": ["http_401"], "EU": ["http_401"]})
        await eventually(lambda: len(receiver.statuses) < 5)
        process.sight = HELD
        await eventually(receiver.told)

    run(Process(config(receiver_url)), story)
    assert receiver.told() == [("connection_held", "US", "begins")]


def _drip(connection: socket.socket, over: threading.Event) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Drip: 1\r\n" * 100_000:
        connection.sendall(bytes([byte]))
        if over.wait(0.02):
            return


def _body_for_ever(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    while not over.wait(0.01):
        connection.sendall(b"x" * 1000)


def _say_nothing(_: socket.socket, over: threading.Event) -> None:
    over.wait()


def _nonsense(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"\x00\xff nonsense\r\n\r\n")


@pytest.fixture
def rough() -> Iterator[Callable[[Any], RoughServer]]:
    made: list[RoughServer] = []

    def start(behave: Any) -> RoughServer:
        made.append(RoughServer(behave))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize("behave", [_drip, _say_nothing, _nonsense])
def test_a_receiver_that_misbehaves_is_left(
    behave: Any,
    rough: Callable[[Any], RoughServer],
    receiver: Receiver,
    receiver_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Within its time, however slowly it answers; another one is told at once."""
    server = rough(behave)

    async def story(process: Process) -> None:
        process.sight = HELD
        await eventually(lambda: process.alerts.posts["network"] >= 2)
        process.alerts.change(config(receiver_url))
        await eventually(receiver.told)

    run(Process(config(f"{server.url}/{SECRET}")), story)
    assert receiver.told() == [("connection_held", "US", "begins")]
    assert SECRET not in told_by_us(caplog)


@pytest.mark.usefixtures("_hurried")
def test_an_answer_is_not_read(rough: Callable[[Any], RoughServer]) -> None:
    """The status is enough: a body that never ends costs nothing."""
    server = rough(_body_for_ever)

    async def story(process: Process) -> None:
        process.sight = HELD
        await eventually(lambda: process.alerts.posts["200"])

    process = Process(config(server.url))
    run(process, story)
    assert process.alerts.posts == {"200": 1}


@pytest.mark.usefixtures("_hurried")
def test_a_table_that_comes_and_goes_is_heeded(receiver: Receiver, receiver_url: str) -> None:
    """Without one, nobody is told; one that comes tells what lasts."""

    async def story(process: Process) -> None:
        process.sight = HELD
        process.alerts.change(config(f"http://127.0.0.1:{closed_port()}/"))
        await eventually(lambda: process.alerts.posts["network"])
        process.alerts.change(None)
        process.alerts.change(config(receiver_url))
        await eventually(receiver.told)

    run(Process(None), story)
    assert receiver.told() == [("connection_held", "US", "begins")]


@pytest.mark.usefixtures("_hurried")
def test_an_error_of_ours_ends_nothing(
    receiver: Receiver, receiver_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told by type and place; the next look may go well."""
    process = Process(config(receiver_url))

    def broken() -> Sight:
        raise KeyError("of ada@example.com")

    async def story(process: Process) -> None:
        process.alerts._see = broken
        await eventually(lambda: "alerts_failed" in caplog.text)
        process.alerts._see = lambda: HELD
        await eventually(receiver.told)

    run(process, story)
    details = [vars(line).get("detail", "") for line in caplog.records]
    assert any(detail.startswith("KeyError at ") for detail in details)
    assert "ada" not in json.dumps(details)


# --- with real processes ---

MARKER = "planted-in-ada"
TRACK = {"type": "track", "userId": f"{MARKER}@example.com", "event": "E", "messageId": MARKER}
ALERTS = '[alerts]\nurl = { env = "ALERT_URL" }\ninterval = "100ms"\nperiod = "1s"\n'
WAITS = '[delivery]\nhold_wait = "50ms"\nlongest_hold = "100ms"\n'


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def configure(directory: Path, heap_url: str, alerts: str = ALERTS, **tables: str) -> None:
    text = toml(heap_url, **tables).replace("[delivery]\n", WAITS)
    (directory / "router.toml").write_text(text + alerts)


def test_a_router_tells_what_on_call_should_know(
    router: Router,
    heap_url: str,
    receiver: Receiver,
    receiver_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A revoked key, dead letters and a missing file begin and end, without a message's words."""
    monkeypatch.setenv("ALERT_URL", receiver_url + "\n")
    configure(router.directory, heap_url, ALERTS + "dead_letters = 3\n")
    router.start()
    said = {"status": 401, "body": f"no such key {MARKER}"}
    httpx.post(f"{heap_url}/_simulator/faults", json=said)
    assert router.send(TRACK) == 200
    until(lambda: ("connection_held", "US", "begins") in receiver.told())
    httpx.delete(f"{heap_url}/_simulator/faults")
    until(lambda: ("connection_held", "US", "ends") in receiver.told())

    nameless = {**TRACK, "event": None}
    assert router.send(*({**nameless, "messageId": f"{MARKER}{n}"} for n in range(3))) == 200
    until(lambda: ("dead_letters", "US", "begins") in receiver.told())
    until(lambda: ("dead_letters", "US", "ends") in receiver.told())

    path = router.directory / "router.db"
    moved = path.rename(router.directory / "moved.db")
    until(lambda: ("log_not_writable", None, "begins") in receiver.told())
    moved.rename(path)
    until(lambda: ("log_not_writable", None, "ends") in receiver.told())

    assert MARKER not in json.dumps(receiver.bodies)
    codes = [alert["codes"] for _, body in receiver.bodies for alert in body["alerts"]]
    assert ["http_401"] in codes
    assert ["missing_event"] in codes
    assert {body["process"] for _, body in receiver.bodies} == {"run"}
    assert len(receiver.told()) == 6
    assert router.metrics()['router_alert_posts_total{result="200"}'] == len(receiver.bodies)
    assert router.stop() == 0
    lines = json.dumps(router.lines())
    assert SECRET not in lines
    assert MARKER not in lines.replace(f'"message_id": "{MARKER}', "")


def test_events_that_expire_are_counted_and_told(
    router: Router,
    heap_url: str,
    receiver: Receiver,
    receiver_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backlog that grows too old turns into no dead letters in silence."""
    monkeypatch.setenv("ALERT_URL", receiver_url)
    configure(router.directory, heap_url, eventlog='max_age = "1s"')
    expired = 'router_expired_total{connection="US"}'
    router.start("--gateway-only")
    assert router.send(TRACK, {**TRACK, "messageId": "m2"}) == 200
    taken = time.time()
    assert expired not in router.metrics()
    assert router.stop() == 0
    assert command(router.directory, "connections", "pause", "US").returncode == 0
    # A worker that is paused would keep what is not too old yet.
    until(lambda: time.time() > taken + 1)
    router.start("--workers-only")
    assert expired in router.metrics()
    until(lambda: router.metrics()[expired] == 2)
    until(lambda: ("events_expired", "US", "begins") in receiver.told())
    assert {body["process"] for _, body in receiver.bodies} == {"run --workers-only"}
    assert MARKER not in json.dumps(receiver.bodies)


def test_what_a_paused_connection_has_in_hand_expires(
    router: Router, heap_url: str, receiver_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read it, and passes `max_age` like what is in the log; the count says so once."""
    monkeypatch.setenv("ALERT_URL", receiver_url)
    configure(router.directory, heap_url, eventlog='max_age = "2s"')
    router.start()
    assert command(router.directory, "connections", "pause", "US").returncode == 0
    until(lambda: router.metrics()['router_paused{connection="US"}'] == 1)
    assert router.send(TRACK, {**TRACK, "messageId": "m2"}) == 200
    until(lambda: router.metrics()['router_expired_total{connection="US"}'] == 2)
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    assert router.stop() == 0
    told = [line["count"] for line in router.lines() if line["event"] == "events_expired"]
    assert sum(told) == 2
    assert "dead_letter" not in {line["event"] for line in router.lines()}


def test_a_process_that_takes_events_tells_of_the_log(
    router: Router,
    heap_url: str,
    receiver: Receiver,
    receiver_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose senders get 503."""
    monkeypatch.setenv("ALERT_URL", receiver_url)
    configure(router.directory, heap_url, eventlog='min_free = "9000TB"')
    router.start("--gateway-only")
    until(lambda: receiver.told() == [("log_not_writable", None, "begins")])
    assert receiver.bodies[0][1]["process"] == "run --gateway-only"


def test_a_receiver_that_hangs_holds_up_neither_delivery_nor_the_end(
    router: Router,
    heap_url: str,
    rough: Callable[[Any], RoughServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While one is told, delivery goes on, and SIGTERM ends it: neither waits for the answer."""
    server = rough(_say_nothing)
    monkeypatch.setenv("ALERT_URL", server.url)
    monkeypatch.setattr(router_process, "CLI", [sys.executable, "-c", PATIENT])
    configure(router.directory, heap_url, ALERTS + "dead_letters = 1\n")
    router.start()
    assert router.send({**TRACK, "event": None}) == 200
    assert server.asked.acquire(timeout=PATIENCE)
    assert router.send(*({**TRACK, "messageId": f"m{n}"} for n in range(20))) == 200
    until(lambda: router.metrics()['router_delivered_total{connection="US"}'] == 20)
    assert router.stop() == 0


def test_a_reload_heeds_the_table(
    router: Router,
    heap_url: str,
    receiver: Receiver,
    receiver_url: str,
) -> None:
    """No restart is needed, and the log says that alerts have changed."""
    configure(router.directory, heap_url, alerts="")
    httpx.post(f"{heap_url}/_simulator/faults", json={"status": 401})
    router.start()
    assert router.send(TRACK) == 200
    until(lambda: router.metrics().get('router_held{code="http_401",connection="US"}') == 1)
    (router.directory / "alert.url").write_text(receiver_url)
    (router.directory / "alert.url").chmod(0o600)
    table = '[alerts]\nurl = { file = "alert.url" }\nformat = "slack"\n'
    configure(router.directory, heap_url, alerts=table)
    assert command(router.directory, "reload").returncode == 0
    until(lambda: receiver.bodies)
    assert receiver.bodies[0][1]["text"].startswith("BEGINS connection_held: US, http_401 (")
    (reloaded,) = [line for line in router.lines() if line["event"] == "reloaded"]
    assert reloaded["alerts"] is True
    assert reloaded["changed"] == []
