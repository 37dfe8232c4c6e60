"""The console beside a router at work, and in a process of its own: real processes.

Modules: `service/configured.py`, `commands/console.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from router_process import CLI, Router, events, toml
from waiting import PATIENCE, free_port, until

from destination_router.config.router_toml import RouterConfig
from destination_router.service import configured as configured_module
from destination_router.service.checking import Checked
from destination_router.service.configured import Configured, ConfiguredFile

PASSWORD = "operator-password"
TRACK = {"type": "track", "userId": "ada@example.com", "event": "Ordered", "messageId": "m1"}
NAMELESS = {**TRACK, "messageId": "m2", "event": None}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def configured(router: Router, heap_url: str, **console: str) -> str:
    """Write a router.toml with a console; gives where it will be."""
    listen = f"127.0.0.1:{free_port()}"
    table = {"listen": listen, "password": PASSWORD, **console}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items() if value)
    (router.directory / "router.toml").write_text(f"{toml(heap_url)}[console]\n{lines}")
    return f"http://{listen}"


def overview(url: str) -> str:
    with httpx.Client(base_url=url, headers={"sec-fetch-site": "same-origin"}) as client:
        client.post("/login", data={"password": PASSWORD})
        return client.get("/").text


def counts(url: str) -> list[int]:
    """Received, filtered, rejected, retried, delivered."""
    return [int(number) for number in re.findall(r"<b>(\d+)</b>", overview(url))]


def test_a_router_shows_what_it_does_and_still_after_a_restart(
    router: Router, heap_url: str
) -> None:
    """Counts outlive the process. SIGTERM ends it, with the page open."""
    url = configured(router, heap_url)
    router.start()
    assert router.send(TRACK, NAMELESS) == 200
    until(lambda: counts(url) == [2, 0, 1, 0, 1])
    assert "2 events" in overview(url)
    assert router.stop() == 0
    router.start()
    assert counts(url) == [2, 0, 1, 0, 1]
    assert events(heap_url) == ["m1"]


def test_a_process_of_its_own_shows_the_same(router: Router, heap_url: str) -> None:
    """Beside a router that does not serve it; it hears of a changed router.toml by itself."""
    url = configured(router, heap_url)
    router.start("--no-console")
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    command = [*CLI, "console", "--config", "router.toml"]
    with (router.directory / "console.log").open("w") as said:
        process = subprocess.Popen(command, cwd=router.directory, stderr=said)
    try:
        until(lambda: "console_started" in (router.directory / "console.log").read_text())
        assert router.send(TRACK) == 200
        until(lambda: counts(url) == [1, 0, 0, 0, 1])
        path = router.directory / "router.toml"
        path.write_text(path.read_text().replace('name = "US"', 'name = "renamed"'))
        until(lambda: "renamed" in overview(url))
        path.write_text("no TOML")
        assert "renamed" in overview(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def test_hundreds_of_sockets_that_say_nothing_keep_nobody_out(
    router: Router, heap_url: str
) -> None:
    """Neither from the console nor, far less, from the gateway, which has a listener of its own."""
    url = configured(router, heap_url)
    router.start()
    where = httpx.URL(url)
    with contextlib.ExitStack() as held:
        for number in range(600):
            stranger = socket.create_connection((where.host, where.port or 0), timeout=10)
            held.enter_context(contextlib.closing(stranger))
            if number % 2:
                with contextlib.suppress(ConnectionError):
                    stranger.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        assert router.send(TRACK) == 200
        until(lambda: events(heap_url) == ["m1"])
        until(lambda: counts(url) == [1, 0, 0, 0, 1])


def test_a_router_toml_that_takes_long_to_read_holds_no_page_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination's program may take its time to start: what held before holds meanwhile."""
    path = tmp_path / "router.toml"
    path.write_text("one")
    first = Configured(RouterConfig(), [], path)
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def check(*_: object, **__: object) -> Checked:
        begun.release()
        go_on.wait(PATIENCE)
        return Checked([], RouterConfig(), [])

    monkeypatch.setattr(configured_module, "check_config", check)
    file = ConfiguredFile(path, first)
    path.write_text("another")
    assert file() is first
    assert begun.acquire(timeout=PATIENCE)
    path.write_text("and another one")
    assert file() is first
    go_on.set()
    until(lambda: file() is not first)
    assert begun.acquire(timeout=PATIENCE)  # what was written meanwhile is read, too


def test_without_a_password_there_is_no_console(router: Router, heap_url: str) -> None:
    """The router works, says so, and keeps no traces; nor does it without the table."""
    url = configured(router, heap_url, password="")
    router.start()
    assert router.send(TRACK) == 200
    until(lambda: events(heap_url) == ["m1"])
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    router.stop()
    assert "[console] has no password" in str(router.lines())
    assert not (router.directory / "router.db-console").exists()
    alone = subprocess.run(
        [*CLI, "console"], cwd=router.directory, capture_output=True, text=True, check=False
    )
    assert alone.returncode == 2
    assert "password" in alone.stderr


def test_what_is_no_trace_file_keeps_no_router_from_its_work(router: Router, heap_url: str) -> None:
    """It says what is in the way, leaves it as it is, and delivers."""
    url = configured(router, heap_url)
    in_the_way = router.directory / "router.db-console"
    in_the_way.write_text("a text of somebody's" * 1000)
    router.start()
    assert router.send(TRACK) == 200
    until(lambda: events(heap_url) == ["m1"])
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    router.stop()
    assert "there is no console" in str(router.lines())
    assert in_the_way.read_text() == "a text of somebody's" * 1000


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('password = "short"', "[console] password: has fewer than 8 characters"),
        ('password = { env = "NOT_SET_HERE" }', "NOT_SET_HERE"),
        ('viewer_password = "viewer-password"', "[console] password: is required"),
        ('password = "same-same"\nviewer_password = "same-same"', "is the operator's password"),
        ('listen = "127.0.0.1:99999"', "[console] listen: its port"),
        ('url = "https://console.example.com/path"', "[console] url"),
        ("keep = 0", "[console] keep"),
    ],
)
def test_what_is_wrong_with_its_table_is_told(tmp_path: Path, lines: str, words: str) -> None:
    """By key; without quoting a password. A command that only looks into the log wants none."""
    (tmp_path / "router.toml").write_text(f"{toml('http://127.0.0.1:9')}[console]\n{lines}\n")
    environment = {name: value for name, value in os.environ.items() if name != "NOT_SET_HERE"}
    ran = subprocess.run(
        [*CLI, "check"], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "short" not in ran.stderr.replace("shorter", "")
    if "password" in lines:
        listed = subprocess.run(
            [*CLI, "dead-letters", "list"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "console" not in listed.stderr
