"""The simulated Mixpanel, in the same process and on a real socket, and a router beside it."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from mixpanel_destination.simulator import create_simulator

TOKEN = "a-project-token"
MOMENT = 1_795_341_600  # 2026-11-22T10:00:00Z


class Mixpanel:
    """A simulated project, asked in process."""

    def __init__(self, **settings: Any) -> None:
        self.now = float(MOMENT)
        self.app = create_simulator(TOKEN, **{"clock": lambda: self.now, **settings})

    def event(self, name: str = "E", **properties: Any) -> dict[str, Any]:
        """Make an event that Mixpanel takes, but for what is given; `...` leaves one out."""
        own = {"time": MOMENT * 1000, "distinct_id": "ada", "$insert_id": "m-1", **properties}
        return {"event": name, "properties": {k: v for k, v in own.items() if v is not ...}}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://mixpanel") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def imported(self, *events: Any, **options: Any) -> httpx.Response:
        own = {"auth": (TOKEN, ""), "params": {"strict": "1"}}
        if "content" not in options:
            own["json"] = list(events)
        return self.request("POST", "/import", **{**own, **options})

    def failed(self, *events: Any) -> list[tuple[int, str]]:
        """Import events; which were refused, and for which field."""
        answer = self.imported(*events)
        records = answer.json().get("failed_records", [])
        assert answer.status_code == (400 if records else 200)
        return [(record["index"], record["field"]) for record in records]

    def set(self, path: str, *records: Any) -> dict[str, Any]:
        answer = self.request("POST", path, json=list(records), params={"verbose": "1"})
        assert answer.status_code == 200
        return dict(answer.json())

    def held(self, kind: str) -> Any:
        return self.request("GET", f"/_simulator/{kind}").json()[kind]


@pytest.fixture
def mixpanel() -> Mixpanel:
    return Mixpanel()


@pytest.fixture
def open_mixpanel() -> Callable[..., Mixpanel]:
    return Mixpanel


class Served:
    """A simulated project on a real socket."""

    def __init__(self, url: str) -> None:
        self.url = url

    def held(self, kind: str) -> Any:
        return httpx.get(f"{self.url}/_simulator/{kind}").json()[kind]

    def fail(self, *faults: dict[str, Any]) -> None:
        httpx.put(f"{self.url}/_simulator/faults", json=faults).raise_for_status()


@contextlib.contextmanager
def serving(app: Starlette) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.should_exit = True
        thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(create_simulator(TOKEN, group_keys=["company_id"])) as running:
        yield running


CLI = [sys.executable, "-m", "destination_router_start"]


class Router:
    """A real router process between its gateway and a simulated Mixpanel."""

    def __init__(self, directory: Path, mixpanel: Served) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.directory = directory
        self.url = f"http://127.0.0.1:{port}"
        (directory / "router.toml").write_text(f"""
[gateway]
write_keys = ["key"]
[eventlog]
url = "sqlite:///router.db"
[delivery]
first_wait = "10ms"
window = 2000
origins = {{"https://api.mixpanel.com" = "{mixpanel.url}"}}
[[connections]]
name = "mixpanel"
plugin = "mixpanel"
settings = {{token = "{TOKEN}", groupKey = "company_id"}}
""")
        command = [*CLI, "run", "--listen", f"127.0.0.1:{port}"]
        with (directory / "said.log").open("w") as said:
            self.process = subprocess.Popen(command, cwd=directory, stderr=said)
        self.until(self._answers)

    def send(self, *messages: dict[str, Any]) -> None:
        batch = {"batch": messages}
        httpx.post(f"{self.url}/v1/batch", json=batch, auth=("key", "")).raise_for_status()

    def dead_letters(self) -> list[dict[str, Any]]:
        """What `dead-letters list` tells."""
        command = [*CLI, "dead-letters", "list", "--json", "--content"]
        told = subprocess.run(command, cwd=self.directory, capture_output=True, check=False).stdout
        return [json.loads(line) for line in told.splitlines()]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; half a minute is for ever."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (self.directory / "said.log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "said.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == 200
        return False


@pytest.fixture
def router(tmp_path: Path, served: Served) -> Iterator[Router]:
    running = Router(tmp_path, served)
    yield running
    running.stop()
