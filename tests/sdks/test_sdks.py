"""RudderStack's own SDKs, unchanged, against the router: what they send arrives in Heap."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import rudderstack.analytics as rudder_analytics
from rudderstack.analytics import request as rudder_request
from rudderstack.analytics.client import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from waiting import PATIENCE

from destination_router.service.serving import Asgi

FOLDER = Path(__file__).parent
KEY = "write-key"
BUNDLE = "node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"
FAILURES = pytest.mark.parametrize("failures", [0, 2], ids=["reliable", "two-failures-first"])


def assert_all_five_calls_are_in_heap(router: Any) -> None:
    """Identify, track, page, group and alias, as Heap sees them."""
    router.wait(lambda: "u-1" in router.merged(), "the alias")
    router.wait(lambda: len(router.held("events")) == 2, "the events")
    router.wait(lambda: router.held("accounts"), "the account")

    (user,) = [row for row in router.held("users") if row["identity"] == "u-1"]
    assert (
        user["properties"].items()
        >= {
            "email": "ada@example.com",
            "address.city": "London",
        }.items()
    )
    events = {row["event"]: row for row in router.held("events")}
    assert {row["identity"] for row in events.values()} == {"u-1"}
    assert (
        events["Signed up"]["properties"].items()
        >= {
            "plan": "pro",
            "price": 9.5,
            "tags": "a||b",
        }.items()
    )
    assert (
        events["Page viewed"]["properties"].items()
        >= {
            "name": "Docs",
            "category": "Help",
            "path": "/docs",
        }.items()
    )
    assert all(row["timestamp"] and row["idempotency_key"] for row in events.values())
    (account,) = router.held("accounts")
    assert (account["account_id"], account["properties"]) == ("g-1", {"seats": 5})
    assert len(router.unreliable.failed) == router.unreliable._failures


# -- Python -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _python_sdk_is_closed() -> Iterator[None]:
    yield
    rudder_request._session.close()


@FAILURES
def test_the_python_sdks_calls_arrive(router: Callable[..., Any], failures: int) -> None:
    """What is queued at shutdown is sent, and sent again while the gateway fails."""
    running = router(failures=failures)
    problems: list[Exception] = []
    client = Client(
        KEY,
        host=running.url,
        on_error=lambda error, _: problems.append(error),
        upload_interval=0.5,
    )
    client.identify("u-1", {"email": "ada@example.com", "address": {"city": "London"}})
    client.track("u-1", "Signed up", {"plan": "pro", "price": 9.5, "tags": ["a", "b"]})
    client.page("u-1", "Help", "Docs", {"path": "/docs"})
    client.group("u-1", "g-1", {"seats": 5})
    client.alias("former-1", "u-1")
    client.shutdown()

    assert problems == []
    assert rudder_analytics.default_client is None
    assert_all_five_calls_are_in_heap(running)


# -- Node ---------------------------------------------------------------------------------------


@FAILURES
def test_the_node_sdks_calls_arrive(router: Callable[..., Any], node: str, failures: int) -> None:
    """What is queued at the last flush is sent, and sent again while the gateway fails."""
    running = router(failures=failures)
    command = [node, str(FOLDER / "six_calls.cjs"), running.url, KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert done.returncode == 0, done.stderr
    assert_all_five_calls_are_in_heap(running)


# -- browsers -----------------------------------------------------------------------------------


class Shop:
    """A page with the SDK on a port of its own, and what it reports."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/", lambda _: FileResponse(FOLDER / "page.html")),
                Route("/rsa.js", lambda _: FileResponse(FOLDER / BUNDLE)),
                Route("/integrations/Heap.min.js", lambda _: FileResponse(FOLDER / "Heap.min.js")),
                Route("/bye", lambda _: Response("bye", media_type="text/html")),
                Route("/report", self.report, methods=["POST"]),
            ]
        )

    async def report(self, request: Request) -> Response:
        self.reports.append((await request.body()).decode())
        return Response()


@pytest.fixture
def visit(
    chromium: str, serve: Callable[[Asgi], str], tmp_path: Path
) -> Iterator[Callable[..., Shop]]:
    """Open the shop's page in a browser that reaches nothing but loopback."""
    browsers: list[subprocess.Popen[bytes]] = []

    def open_page(router_url: str, **flags: str) -> Shop:
        shop = Shop()
        query = urlencode({"router": router_url, "key": KEY, **flags})
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"{serve(shop.app)}/?{query}",
        ]
        output = subprocess.DEVNULL
        browsers.append(subprocess.Popen(command, stdout=output, stderr=output))
        return shop

    yield open_page
    for browser in browsers:
        browser.terminate()
        try:
            browser.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()


@FAILURES
def test_the_browser_sdks_calls_arrive(
    router: Callable[..., Any], visit: Callable[..., Shop], failures: int
) -> None:
    """The SDK runs against the router alone, and sends again while the gateway fails."""
    running = router(failures=failures)
    shop = visit(running.url)
    assert_all_five_calls_are_in_heap(running)
    assert not [text for text in shop.reports if text.startswith("error")]


def test_what_is_queued_is_sent_when_the_page_is_left(
    router: Callable[..., Any], visit: Callable[..., Shop]
) -> None:
    """The SDK's beacons bring the queue in as the visitor goes."""
    running = router()
    visit(running.url, beacon="1", leave="1")
    assert_all_five_calls_are_in_heap(running)


def test_a_client_side_heap_is_loaded_in_device_mode(
    router: Callable[..., Any], visit: Callable[..., Shop]
) -> None:
    """The SDK loads Heap's integration with the connection's App ID."""
    running = router(client_side=True)
    shop = visit(running.url)
    running.wait(lambda: "device mode: 123" in shop.reports, "the integration")
    running.wait(lambda: "ready" in shop.reports, "the SDK")
