"""Receivers: the simulated one, in this process and on a socket, and one of the standard library.

And a real router process that sends to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from webhook_destination.simulator import Promise, create_simulator

CLI = [sys.executable, "-m", "destination_router_start"]


class Simulated:
    """A simulated receiver, asked in process."""

    def __init__(self, **promised: Any) -> None:
        self.app: Starlette = create_simulator(Promise(**promised))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hook") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def held(self, kind: str) -> Any:
        """What it has."""
        return self.request("GET", f"/_simulator/{kind}").json()[kind]


@pytest.fixture
def simulated() -> Callable[..., Simulated]:
    """Make a simulated receiver."""
    return Simulated


class Received:
    """One request, as its bytes came over the wire."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class Receiver:
    """A receiver of the standard library alone.

    Attributes:
        requests: all that came, in order.
        answer: what it answers to a request: a status and words; 200 unless a test says otherwise.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answer: Callable[[Received], tuple[int, str]] = lambda _: (200, "")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                got = Received(self.command, self.path, headers, self.rfile.read(size))
                receiver.requests.append(got)
                status, words = receiver.answer(got)
                self.send_response(status)
                self.send_header("content-length", str(len(words.encode())))
                self.end_headers()
                self.wfile.write(words.encode())

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take  # noqa: N815 -- http.server's

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    running = Receiver()
    yield running
    running.close()


class Router:
    """A real router process with one connection, which its environment gives the secrets.

    Args:
        directory: where its files stand.
        settings: the connection's, as the lines of a router.toml.
        environment: what `{env = NAME}` refers to.
    """

    def __init__(self, directory: Path, settings: str, environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.directory = directory
        self.url = f"http://127.0.0.1:{port}"
        (directory / "router.toml").write_text(f"""
[gateway]
write_keys = [{{ env = "WRITE_KEY" }}]

[eventlog]
url = "sqlite:///router.db"

[delivery]
first_wait = "10ms"

[[connections]]
name = "hook"
plugin = "webhook"

[connections.settings]
{settings}
""")
        self._environment = {"PATH": "/usr/bin:/bin", "WRITE_KEY": "key", **environment}
        command = [*CLI, "run", "--listen", f"127.0.0.1:{port}"]
        with self.said.open("w") as said:
            self._process = subprocess.Popen(
                command, cwd=directory, stdout=said, stderr=said, env=self._environment
            )
        self.until(self._answers)

    @property
    def said(self) -> Path:
        """Where what it logs stands."""
        return self.directory / "said.log"

    def send(self, *messages: dict[str, Any]) -> None:
        """Send messages in one batch, as an SDK does."""
        batch = {"batch": messages}
        httpx.post(f"{self.url}/v1/batch", json=batch, auth=("key", "")).raise_for_status()

    def told(self, *arguments: str) -> str:
        """Run another command beside it, and give all that it prints."""
        done = subprocess.run(
            [*CLI, *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
        )
        return done.stdout + done.stderr

    def dead_letters(self) -> list[dict[str, Any]]:
        """What `dead-letters list` tells."""
        lines = self.told("dead-letters", "list", "--json", "--content").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; a minute is for ever."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as a supervisor does."""
        self._process.terminate()
        assert self._process.wait(timeout=60) == 0

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.said.read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == httpx.codes.OK
        return False


@pytest.fixture
def open_router(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Start a router with these settings."""
    running: list[Router] = []

    def start(settings: str, **environment: str) -> Router:
        running.append(Router(tmp_path, settings, environment))
        return running[-1]

    yield start
    for router in running:
        router.stop()
