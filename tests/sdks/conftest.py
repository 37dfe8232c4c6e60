"""A whole router on loopback for real SDKs, and what a simulated Heap holds in the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from waiting import PATIENCE

from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.gateway.app import create_gateway
from destination_router.gateway.cors import Cors
from destination_router.gateway.source_config import device_destinations
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from destination_router.service.serving import Asgi

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
KEY = "write-key"
HINT = "run scripts/test-sdks, which installs it"


class Unreliable:
    """An app whose first answers to events are 500, though it is all right."""

    def __init__(self, app: ASGIApp, failures: int) -> None:
        self._app = app
        self._failures = failures
        self.failed: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        events = scope["type"] == "http" and scope["method"] == "POST"
        if events and len(self.failed) < self._failures:
            while (await receive()).get("more_body"):
                pass
            self.failed.append(scope["path"])
            await Response("try again\n", 500)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Router:
    """A gateway and a worker, and the simulated Heap behind them."""

    def __init__(self, url: str, heap_url: str, unreliable: Unreliable) -> None:
        self.url = url
        self.heap_url = heap_url
        self.unreliable = unreliable

    def held(self, kind: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.heap_url}/_simulator/{kind}").json()
        rows: list[dict[str, Any]] = answer[kind]
        return rows

    def wait(self, done: Callable[[], object], what: str) -> None:
        """Ask until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.02)

    def merged(self) -> set[str]:
        """The identities that Heap was told to merge a former user into."""
        requests = self.held("requests")
        return {
            str(httpx.Response(200, text=row["body"]).json()["identity"])
            if isinstance(row["body"], str)
            else row["body"]["identity"]
            for row in requests
            if row["path"] == "/api/v1/identify"
        }


@pytest.fixture
def router(serve: Callable[[Asgi], str], heap_url: str) -> Callable[..., Router]:
    """Start a router that delivers to the simulated Heap."""

    def start(*, failures: int = 0, client_side: bool = False) -> Router:
        settings = {"appId": "123", "anonymousEvents": "stitch"}
        heap = Connection("heap", load_plugin("heap"), settings, client_side=client_side)
        log = MemoryEventLog(["heap"])
        gateway = create_gateway(
            log,
            Sources.of_keys([KEY]),
            destinations=lambda _: device_destinations([heap]),
        )
        unreliable = Unreliable(gateway, failures)

        @contextlib.asynccontextmanager
        async def working(_: Starlette) -> AsyncIterator[None]:
            settings = DeliverySettings(origins={"*": heap_url}, linger=0.01)
            async with Sender(heap, settings) as sender:
                worker = Worker(
                    heap, log, sender, dead_letters=DroppedDeadLetters(), settings=settings
                )
                running = asyncio.create_task(worker.run())
                yield
                await worker.stop(2.0)
                await running

        app = Starlette(routes=[Mount("/", Cors(unreliable))], lifespan=working)
        return Router(serve(app), heap_url, unreliable)

    return start


def needed(name: str, found: object) -> None:
    """Skip a test for want of a part, but not where everything has to run."""
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no {name}; {HINT}")
    pytest.skip(f"there is no {name}; {HINT}")


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    needed("Node", found)
    needed("rudder-sdk-node", (MODULES / "@rudderstack" / "rudder-sdk-node").is_dir())
    return str(found)


@pytest.fixture
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    needed("Chromium", found)
    needed("analytics-js", (MODULES / "@rudderstack" / "analytics-js").is_dir())
    return str(found)
