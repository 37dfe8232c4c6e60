"""A console on a real socket, over a log with a few dead letters and what workers told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from destination_router.config.router_toml import ConsoleConfig, load_config
from destination_router.console.app import Console
from destination_router.console.desk import Desk
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.trace_file import TraceFile, trace_path
from destination_router.service.configured import Configured
from destination_router.service.connections import connect
from destination_router.service.serving import Asgi

OPERATOR, VIEWER = "operator-password", "viewer-password"
TOML = """
[eventlog]
url = "sqlite:///router.db"
[[connections]]
name = "heap"
plugin = "heap"
settings = { appId = "11" }
"""


class Served:
    """A console that is served, what it stands on, and clients of it."""

    def __init__(self, folder: Path, toml: str, **console: Any) -> None:
        path = folder / "router.toml"
        path.write_text(toml)
        self.config = load_config(path)
        self.connections = [connect(each) for each in self.config.connections]
        names = [each.name for each in self.connections]
        self.log_path = self.config.eventlog.path
        self.log = SqliteEventLog(self.log_path, names, start="start")
        self.traces = TraceFile(trace_path(self.log_path))
        self.configured = Configured(self.config, self.connections, path)
        self.url = ""
        self._console = console
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: list[httpx.Client] = []

    def config_at(self, toml: str) -> Path:
        """Write another router.toml beside it."""
        path = self.log_path.with_name("another.toml")
        path.write_text(toml)
        return path

    def start(self, serve: Callable[[Asgi], str]) -> None:
        table = ConsoleConfig(password=OPERATOR, viewer_password=VIEWER, **self._console)
        desk = Desk(lambda: self.configured, self.traces, content=table.content)
        self.console = Console(table, desk)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self._loop = asyncio.get_running_loop()
            await self.console.app(scope, receive, send)

        self.url = serve(app)

    def client(self, password: str | None = OPERATOR, name: str = "") -> httpx.Client:
        """A browser's requests: of one that has signed in, unless there is no password."""
        client = self.stranger()
        client.headers["sec-fetch-site"] = "same-origin"
        if password is not None:
            answer = client.post("/login", data={"password": password, "name": name})
            assert answer.status_code == 303, answer.text
        return client

    def stranger(self) -> httpx.Client:
        """Requests of who says nothing of themselves."""
        client = httpx.Client(base_url=self.url)
        self._clients.append(client)
        return client

    def over(self) -> None:
        """Tell streams to end, as when the process shall."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.console.over.set)

    def append(self, *bodies: bytes) -> None:
        asyncio.run(self.log.append(bodies))

    def close(self) -> None:
        self.over()
        for client in self._clients:
            client.close()
        self.log.close()
        self.traces.close()


Start = Callable[..., Served]
