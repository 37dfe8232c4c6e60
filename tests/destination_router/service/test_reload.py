"""A changed router.toml in a router at work: what changes, and what does not notice.

Modules: `service/changes.py`, `commands/reload.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import PATIENCE, free_port, until

from destination_router.config.router_toml import RouterConfig, parse_config
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.eventlog.opening import open_log
from destination_router.service.changes import Changes, changes, fingerprints
from destination_router.service.checking import Checked
from destination_router.service.configured import Configured
from destination_router.service.router import RouterPlan, _Router
from destination_router.service.workers import Workers

CLI = [sys.executable, "-m", "destination_router.commands.cli"]
US = "https://heapanalytics.com"


def config(*names: str, app_id: object = "11", **tables: object) -> RouterConfig:
    connections = [
        {"name": name, "plugin": "heap", "settings": {"appId": app_id}} for name in names
    ]
    return parse_config({"connections": connections, **tables}, gateway=False)


def compared(old: RouterConfig, new: RouterConfig) -> Changes:
    return changes(old, new, fingerprints(old), fingerprints(new), started_with=old)


def test_what_is_the_same_is_not_touched() -> None:
    """Only what is different is named."""
    assert compared(config("a", "b"), config("a", "b")) == Changes()
    assert compared(config("a", "b"), config("b", "c")) == Changes(added=("c",), removed=("a",))
    assert compared(config("a"), config("a", app_id="12")) == Changes(changed=("a",))


def test_a_key_that_was_rotated_in_its_file_is_a_change(tmp_path: Path) -> None:
    """Though router.toml is the same to the letter."""
    key = tmp_path / "key"
    key.write_text("11")
    key.chmod(0o600)
    old = config("a", app_id={"file": str(key)})
    before = fingerprints(old)
    key.write_text("12")
    told = changes(old, old, before, fingerprints(old), started_with=old)
    assert told == Changes(changed=("a",))


def test_whoever_looks_goes_by_the_log_that_the_process_has(tmp_path: Path) -> None:
    """Another one in router.toml needs a restart; until then the console looks at this one."""

    def with_log(name: str, *connections: str) -> RouterConfig:
        return config(*connections, eventlog={"url": f"sqlite:///{tmp_path}/{name}.db"})

    old, new = with_log("old", "a"), with_log("new", "a", "b")
    plan = RouterPlan(
        config=old, connections=(), workers=False, reread=lambda: Checked([], new, [])
    )

    async def reloaded() -> Configured:
        with contextlib.closing(open_log(old.eventlog, (), {})) as log:
            workers = Workers((), log, DeliverySettings(), old.quarantine)
            router = _Router(plan, log, workers)
            await router._reload()
            return router.configured()

    now = asyncio.run(reloaded())
    assert [each.name for each in now.config.connections] == ["a", "b"]
    assert now.config.eventlog == old.eventlog


def test_of_a_connection_that_is_gone_no_failures_are_kept(tmp_path: Path) -> None:
    """Connections come and go for months; only those that are there are counted."""
    old = config("a", eventlog={"url": f"sqlite:///{tmp_path}/router.db"})

    async def changed() -> dict[str, int]:
        with contextlib.closing(open_log(old.eventlog, (), {})) as log:
            workers = Workers((), log, DeliverySettings(), old.quarantine)
            workers._failures["gone"] += 1
            await workers.change((), (), DeliverySettings(), old.quarantine)
            return dict(workers._failures)

    assert asyncio.run(changed()) == {}


def test_what_holds_for_every_connection_changes_each() -> None:
    """How requests leave, and when an identity is held back."""
    slower = config("a", "b", delivery={"timeout": "9s"})
    assert compared(config("a", "b"), slower).changed == ("a", "b")
    calm = config("a", quarantine={"enabled": False})
    assert compared(config("a"), calm).changed == ("a",)


def test_who_is_told_of_trouble_is_a_change_of_its_own() -> None:
    """No connection notices."""
    told = config("a", alerts={"url": "https://receiver.example/"})
    assert compared(config("a"), told) == Changes(alerts=True)
    assert compared(told, told) == Changes()


def test_what_only_a_restart_changes_is_named() -> None:
    """By its key in router.toml."""
    gateway = {"listen": "127.0.0.1:9", "max_events": 7, "write_keys": ["another"]}
    moved = config("a", gateway=gateway, eventlog={"max_size": "9GB"})
    assert compared(config("a"), moved) == Changes(
        needs_restart=("gateway.listen", "gateway.max_events", "eventlog.max_size")
    )


def test_what_needs_a_restart_is_told_until_there_was_one() -> None:
    """Compared is what the process began with, not what the file said last."""
    begun, moved = config("a"), config("a", gateway={"listen": "127.0.0.1:9"})
    again = changes(moved, moved, fingerprints(moved), fingerprints(moved), started_with=begun)
    assert again.needs_restart == ("gateway.listen",)
    back = changes(moved, begun, fingerprints(moved), fingerprints(begun), started_with=begun)
    assert back.needs_restart == ()


class Router:
    """A router process, whose router.toml changes."""

    def __init__(self, directory: Path, heap_url: str) -> None:
        self.directory, self.heap_url = directory, heap_url
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[str] | None = None

    def write(self, *connections: str, sources: str = "", more: str = "") -> None:
        tables = "".join(
            f'[[connections]]\nname = "{name}"\nplugin = "heap"\n'
            f'settings = {{ appId = {{ file = "{name}.key" }} }}\n'
            for name in connections
        )
        (self.directory / "router.toml").write_text(
            f'[gateway]\nlisten = "{self.url.removeprefix("http://")}"\nwrite_keys = ["key"]\n'
            f'[delivery]\nfirst_wait = "10ms"\norigins = {{ "{US}" = "{self.heap_url}" }}\n'
            f"{sources}{tables}{more}"
        )

    def key(self, name: str, app_id: str) -> None:
        (self.directory / f"{name}.key").write_text(app_id)

    def start(self) -> None:
        with (self.directory / "said.log").open("a") as said:
            self._process = subprocess.Popen(
                [*CLI, "run"], cwd=self.directory, stderr=said, text=True
            )
        until(lambda: self.logged("started"))

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = (self.directory / "said.log").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def reload(self) -> dict[str, Any]:
        before = len(self.logged("reloaded"))
        done = subprocess.run(
            [*CLI, "reload"], cwd=self.directory, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        until(lambda: len(self.logged("reloaded")) > before)
        return self.logged("reloaded")[-1]

    def hang_up(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def send(self, message_id: str, key: str = "key") -> int:
        event = {"type": "track", "userId": "ada", "event": "E", "messageId": message_id}
        return httpx.post(f"{self.url}/v1/track", auth=(key, ""), json=event).status_code

    def lag(self) -> dict[str, float]:
        text = httpx.get(f"{self.url}/metrics").text
        found = re.findall(r'^router_lag_messages\{connection="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def at_heap(self, app_id: str) -> list[str]:
        rows = httpx.get(f"{self.heap_url}/_simulator/events").json()["events"]
        return [row["idempotency_key"] for row in rows if str(row["app_id"]) == app_id]

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(timeout=PATIENCE) == 0


@pytest.fixture
def router(tmp_path: Path, heap_url: str) -> Iterator[Router]:
    made = Router(tmp_path, heap_url)
    yield made
    made.end()


def test_connections_come_change_and_go_without_losing_a_message(router: Router) -> None:
    """Each message goes to the connections that were there when it came, under the key of then."""
    router.key("one", "11")
    router.key("two", "22")
    router.write("one")
    router.start()
    assert router.send("m1") == 200
    router.write("one", "two")
    assert router.reload()["added"] == ["two"]
    assert router.send("m2") == 200
    until(lambda: router.at_heap("22") == ["m2"])
    until(lambda: router.at_heap("11") == ["m1", "m2"])

    router.key("one", "33")
    told = router.reload()
    assert (told["added"], told["removed"], told["changed"]) == ([], [], ["one"])
    assert router.send("m3") == 200
    until(lambda: router.at_heap("33") == ["m3"])

    router.write("two")
    assert router.reload()["removed"] == ["one"]
    assert router.send("m4") == 200
    until(lambda: router.at_heap("22") == ["m2", "m3", "m4"])
    assert router.at_heap("33") == ["m3"]
    assert router.lag() == {"one": 1, "two": 0}


def test_a_file_with_an_error_changes_nothing(router: Router) -> None:
    """The router goes on as it was, and its log says what `check` says."""
    router.key("one", "11")
    router.write("one")
    router.start()
    router.write("one", more="nonsense = 1\n")
    done = subprocess.run(
        [*CLI, "reload"], cwd=router.directory, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "nonsense" in done.stderr) == (2, True)
    router.hang_up()
    until(lambda: router.logged("reload_refused"))
    assert "nonsense" in router.logged("reload_refused")[0]["problems"][0]
    assert router.send("m1") == 200
    until(lambda: router.at_heap("11") == ["m1"])


def test_sources_change_and_what_cannot_is_named(router: Router) -> None:
    """A new key lets its sender in at once; where the router listens, only a restart changes."""
    router.key("one", "11")
    router.write("one")
    router.start()
    assert router.send("m1", "web-key") == 401
    router.write("one", sources='[[sources]]\nname = "web"\nwrite_keys = ["web-key"]\n')
    text = (router.directory / "router.toml").read_text()
    (router.directory / "router.toml").write_text(
        re.sub(r'listen = "[^"]*"', 'listen = "127.0.0.1:1"', text)
    )
    told = router.reload()
    assert (told["added"], told["removed"], told["changed"]) == ([], [], [])
    assert told["sources"] == ["web"]
    assert router.logged("reload_needs_restart")[0]["keys"] == ["gateway.listen"]
    assert router.send("m1", "web-key") == 200
    until(lambda: router.at_heap("11") == ["m1"])


def test_without_a_router_at_work_reload_says_so(router: Router) -> None:
    """And ends with status 2."""
    router.key("one", "11")
    router.write("one")
    done = subprocess.run(
        [*CLI, "reload"], cwd=router.directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no process delivers from" in done.stderr
