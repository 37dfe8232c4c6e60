"""The console in a real browser, over real processes: what people do in it, and what it looks like.

Where `CI=true`, each page's screenshots are in `reports/console/`: light, dark and as on a phone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from router_process import CLI, Router, toml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from waiting import PATIENCE, free_port, until

from destination_router.service.serving import Asgi

ROOT = Path(__file__).parents[3]
AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
OPERATOR, VIEWER = "operator-password", "viewer-password"
MARKER = "ada-lovelace-1815"
PAGES = (
    "/",
    "/live",
    "/dead-letters",
    "/tester",
    "/connections",
    "/connections?name=US",
    "/privacy?connection=US",
    "/conformance",
    "/nothing",
)
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}
ORDER = {"type": "track", "userId": "ada@example.com", "event": "Order Completed"}
VISITOR = {"type": "track", "anonymousId": "visitor-1815", "event": "Article Read"}


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what}: scripts/test-sdks --prepare")
    pytest.skip(f"there is no {what} on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def configure(router: Router, vendor_url: str, more: str = "", settings: str = "") -> str:
    """Write a router.toml with a console; gives where it is."""
    listen = f"127.0.0.1:{free_port()}"
    text = toml(vendor_url)
    if settings:
        text = text.replace('region = "US"}', f'region = "US", {settings}}}')
    console = f'[console]\nlisten = "{listen}"\npassword = "{OPERATOR}"\n'
    console += f'viewer_password = "{VIEWER}"\n'
    (router.directory / "router.toml").write_text(f"{text}\n{more}\n{console}")
    return f"http://{listen}"


class Visit:
    """Somebody who is signed in, and what their browser complained about."""

    def __init__(self, browser: Browser, url: str, password: str, look: str) -> None:
        scheme, width = LOOKS[look]
        self.context = browser.new_context(
            base_url=url,
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 900},
        )
        self.context.set_default_timeout(1000 * PATIENCE)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto("/login")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def _heard(self, message: Any) -> None:
        expected = re.search(r"status of (403|404|409)", message.text)
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)

    def end(self) -> None:
        self.context.close()
        assert self.complaints == []


Sign = Callable[..., Page]


@pytest.fixture
def sign_in(browser: Browser, router: Router) -> Iterator[Sign]:
    """Sign in as somebody; their browser may not complain about anything, the policy included.

    They leave before the router ends, which closes what they look at.
    """
    assert router
    expect.set_options(timeout=1000 * PATIENCE)
    visits: list[Visit] = []

    def somebody(url: str, password: str = OPERATOR, look: str = "light") -> Page:
        visits.append(Visit(browser, url, password, look))
        return visits[-1].page

    yield somebody
    for visit in visits:
        visit.end()


class Vendor:
    """A vendor that refuses the key until it is told to take it."""

    def __init__(self, *, takes: bool = False) -> None:
        self.takes = takes
        self.taken: list[str] = []

    def app(self) -> Asgi:
        async def answer(request: Request) -> Response:
            body = (await request.body()).decode()
            if not self.takes:
                return JSONResponse({"error": "unknown key"}, 401)
            self.taken.append(body)
            return JSONResponse({"you": body})

        return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


def test_the_demo_is_seen_live_opened_tested_and_saved(sign_in: Sign, tmp_path: Path) -> None:
    """A newcomer's first minute: its messages appear, one is opened, tested, saved as a case."""
    said = tmp_path / "said.log"
    command = [*CLI, "demo", "heap", "--console"]
    with said.open("w") as stream:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream, cwd=tmp_path)
    try:
        until(lambda: "Ctrl-C" in said.read_text() or process.poll() is not None)
        text = said.read_text()
        ((url, password),) = re.findall(r"The console: (\S+) with the password (\S+)", text)
        (gateway,) = re.findall(r"data plane (\S+)", text)
        page = sign_in(url, password)
        page.get_by_role("link", name="Live", exact=True).click()
        expect(page.get_by_role("link", name="track · Program Published")).to_be_visible()
        expect(page.locator("#state")).to_have_text("live")
        message = {**ORDER, "messageId": "seen-live"}
        sent = httpx.post(f"{gateway}/v1/track", json=message, auth=("demo-write-key", ""))
        assert sent.status_code == 200
        row = page.locator("tr", has_text="seen-live")
        expect(row.locator(".pill")).to_have_text("delivered")
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", name="track · Order Completed")).to_be_visible()
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Save as a conformance case").click()
        case = json.loads(Path(downloading.value.path()).read_text())
        assert "Order Completed" in str(case)
        page.get_by_role("button", name="Run again with today's configuration").click()
        expect(page.get_by_text("Nothing was sent.")).to_be_visible()
        page.get_by_role("button", name="Open in the tester").click()
        page.get_by_role("button", name="Send to the simulator").click()
        expect(page.get_by_text("delivered · HTTP 200")).to_be_visible()
        page.context.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)


def test_the_overview_keeps_what_its_reader_does(
    sign_in: Sign, router: Router, heap_url: str
) -> None:
    """It draws itself again and again: numbers stay open, and the keyboard stays where it is."""
    url = configure(router, heap_url)
    router.start()
    page = sign_in(url)
    page.get_by_text("The numbers of US").click()
    pause = page.get_by_role("button", name="Pause US")
    pause.focus()
    router.send({**ORDER, "messageId": "later"})
    expect(page.locator(".flow").first).to_contain_text("1received")
    expect(page.locator("details[open]")).to_have_count(1)
    expect(pause).to_be_focused()
    page.goto("/connections?name=US")
    expect(page.locator(".lead")).to_contain_text(f"sends to {heap_url} in place of https://")


def test_live_can_be_paused_cleared_and_filtered(
    sign_in: Sign, router: Router, heap_url: str
) -> None:
    """While it is paused nothing moves; each message keeps to one row, whatever happens to it."""
    url = configure(router, heap_url)
    router.start()
    page = sign_in(url)
    page.goto("/live?event=Order+Completed")
    expect(page.locator("#nothing")).to_be_visible()
    router.send({**ORDER, "messageId": "first"}, {**ORDER, "event": "Other", "messageId": "x"})
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr .pill")).to_have_text("delivered")
    page.get_by_role("button", name="Pause").click()
    router.send({**ORDER, "messageId": "second"})
    expect(page.locator("#state")).to_contain_text("waiting")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#rows tr .pill")).to_have_text(["delivered", "delivered"])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#nothing")).to_be_visible()
    router.send({**ORDER, "messageId": "third"})
    expect(page.locator("#rows tr .pill")).to_have_text(["delivered"])


def test_what_was_cleared_stays_away(
    sign_in: Sign, router: Router, serve: Callable[[Asgi], str]
) -> None:
    """Though it ends afterwards, while the page was paused or not; loading the page shows it."""
    vendor = Vendor()
    url = configure(router, serve(vendor.app()))
    router.start()
    page, overview = sign_in(url), sign_in(url)
    router.send({**ORDER, "messageId": "first"})
    expect(overview.get_by_text("held: http_401")).to_be_visible()
    page.goto("/live")
    expect(page.locator("#rows tr .pill")).to_have_text(["waiting"])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    vendor.takes = True
    overview.get_by_role("button", name="Resume").click()
    router.send({**ORDER, "messageId": "second"})
    expect(page.locator("#state")).to_contain_text("1 waiting")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    router.send({**ORDER, "messageId": "third"})
    expect(page.locator("#rows tr .pill")).to_have_text(["delivered", "delivered"])
    expect(page.locator("#rows")).not_to_contain_text("first")
    page.reload()
    expect(page.locator("#rows tr .pill")).to_have_text(["delivered"] * 3)


def test_a_configuration_is_mended_and_its_dead_letters_are_replayed(
    sign_in: Sign, router: Router, heap_url: str
) -> None:
    """Seen, mended in router.toml, reloaded, tried on paper, replayed, delivered."""
    url = configure(router, heap_url, settings='anonymousEvents = "reject"')
    router.start()
    router.send({**VISITOR, "messageId": "m1"}, {**VISITOR, "messageId": "m2"})
    said = router.directory / "said.log"
    until(lambda: said.read_text().count('"dead_letter"') == 2)
    page = sign_in(url)
    page.get_by_role("link", name="Dead letters").click()
    page.get_by_role("link", name=re.compile("^[a-z_]+$")).first.click()
    expect(
        page.get_by_role("heading", name="2 dead letters by connection and code")
    ).to_be_visible()
    path = router.directory / "router.toml"
    path.write_text(path.read_text().replace('"reject"', '"partner"'))
    subprocess.run([*CLI, "reload"], cwd=router.directory, check=True)
    until(lambda: '"reloaded"' in said.read_text())
    page.get_by_role("button", name="Replay…").first.click()
    expect(page.get_by_role("heading", name="Replay 2 dead letters?")).to_be_visible()
    page.get_by_role("button", name="Replay 2").click()
    expect(page.get_by_text("Done: replayed 2.")).to_be_visible()
    expect(page.get_by_text("There are none.")).to_be_visible()
    until(lambda: router.metrics()['router_delivered_total{connection="US"}'] == 2)


def test_a_held_connection_is_seen_and_resumed(
    sign_in: Sign, router: Router, serve: Callable[[Asgi], str]
) -> None:
    """Why and since when; once its key is good again, a person lets it go on at once."""
    vendor = Vendor()
    url = configure(router, serve(vendor.app()))
    router.start()
    router.send(ORDER)
    page = sign_in(url)
    expect(page.get_by_text("held: http_401")).to_be_visible()
    expect(page.get_by_text(re.compile("since 20"))).to_be_visible()
    vendor.takes = True
    page.get_by_role("button", name="Resume").click()
    until(lambda: vendor.taken)
    expect(page.get_by_text("sending", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()


def test_two_browsers_see_the_same_and_a_viewer_cannot_act(
    sign_in: Sign, router: Router, heap_url: str
) -> None:
    """What an operator does, a viewer sees by itself; their pages have nothing to press."""
    url = configure(router, heap_url)
    router.start()
    operator, viewer = sign_in(url), sign_in(url, VIEWER)
    operator.get_by_role("button", name="Pause").click()
    expect(operator.get_by_text("paused", exact=True)).to_be_visible()
    expect(viewer.get_by_text("paused", exact=True)).to_be_visible()
    harmless = {"Sign out", "Filter", "Look", "Pause", "Clear"}
    for path in PAGES[1:-1]:
        viewer.goto(path)
        buttons = {button.inner_text() for button in viewer.get_by_role("button").all()}
        assert buttons <= harmless, path
    status = viewer.evaluate(
        "fetch('/resume', {method: 'POST', body: new URLSearchParams({connection: 'US'})})"
        ".then(answer => answer.status)"
    )
    assert status == 403
    viewer.goto("/")
    expect(viewer.get_by_text("paused", exact=True)).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_read_by_everybody(
    sign_in: Sign, router: Router, heap_url: str, look: str
) -> None:
    """axe-core finds nothing serious, and nothing is wider than the screen."""
    if not AXE.exists():
        missing("axe-core")
    url = configure(router, heap_url)
    router.start()
    router.send(*({**ORDER, "messageId": f"m{n}"} for n in range(20)), {**ORDER, "event": None})
    page = sign_in(url, look=look)
    page.goto("/live")
    expect(page.locator("tr", has_text="m19").locator(".pill")).to_have_text("delivered")
    expect(page.locator("#rows .pill.rejected")).to_have_count(1)  # the letter is there, too
    one = page.locator("#rows a").first.get_attribute("href") or ""
    for path in (*PAGES, one, "/dead-letters/letter?id=1", "/login"):
        page.goto(path)
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) == 0, path
        here = "[...document.querySelectorAll('nav [aria-current=page]')].map(tab => {"
        here += "const box = tab.getBoundingClientRect(); return [box.left, box.right]})"
        for left, right in page.evaluate(here):  # the tab that one is at can be seen
            assert 0 <= left < right <= LOOKS[look][1], path
        if os.environ.get("CI") == "true":
            keep_picture(page, path, look)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        told = [
            (each["id"], [node["html"] for node in each["nodes"]][:3])
            for each in page.evaluate("axe.run()")["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        assert told == [], path


def keep_picture(page: Page, path: str, look: str) -> None:
    name = re.sub(r"[^a-z]+", "-", path.partition("?")[0]).strip("-") or "overview"
    name += "-one" if "?name" in path else ""
    page.screenshot(path=ROOT / "reports" / "console" / f"{name}-{look}.png", full_page=True)


def test_it_works_with_a_keyboard_and_without_javascript(
    browser: Browser, sign_in: Sign, router: Router, heap_url: str
) -> None:
    """The first stop leads to the content; forms are forms."""
    url = configure(router, heap_url)
    router.start()
    page = sign_in(url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    plain = browser.new_context(base_url=url, java_script_enabled=False)
    bare = plain.new_page()
    bare.goto("/login")
    bare.get_by_label("Password").fill(OPERATOR)
    bare.get_by_role("button", name="Sign in").click()
    bare.get_by_role("button", name="Pause").click()
    expect(bare.get_by_text("paused", exact=True)).to_be_visible()
    bare.goto("/live")
    expect(bare.get_by_text("load it again")).to_be_visible()
    plain.close()


def private_toml(router: Router) -> None:
    """Let the connection of a router.toml be in HIPAA mode."""
    allow = 'allow = { events = ["Order Completed"], properties = ["total"] }\n'
    shared = f'[privacy]\nmode = "hipaa"\n{allow}[privacy.keys]\nv1 = {{ env = "MASKING_KEY" }}\n'
    path = router.directory / "router.toml"
    own = f"[connections.privacy]\n{allow}\n"
    path.write_text(path.read_text().replace("\n[console]", f"\n{own}{shared}[console]"))


def test_in_hipaa_mode_a_planted_marker_is_nowhere(
    sign_in: Sign,
    router: Router,
    serve: Callable[[Asgi], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No page, stream, download or store has it, whatever becomes of the message it came in."""
    monkeypatch.setenv("MASKING_KEY", "00" * 32)
    vendor = Vendor(takes=True)
    url = configure(router, serve(vendor.app()))
    private_toml(router)
    router.start()
    personal = {"userId": MARKER, "context": {"ip": MARKER}}
    router.send(
        {**ORDER, **personal, "messageId": f"1-{MARKER}", "properties": {"total": 5, MARKER: 1}},
        {**ORDER, **personal, "messageId": f"2-{MARKER}", "event": f"Saw {MARKER}"},
        {"type": "identify", "messageId": f"3-{MARKER}", "userId": {"a": MARKER}},
    )
    until(lambda: vendor.taken)
    page = sign_in(url)
    page.goto("/live")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator("#rows .pill.waiting")).to_have_count(0)  # what ends writes dead letters
    hrefs = [link.get_attribute("href") or "" for link in page.locator("#rows a").all()]
    router.send({**ORDER, **personal, "messageId": f"4-{MARKER}", "properties": {"total": 6}})
    expect(page.locator("#rows tr")).to_have_count(4)
    seen = page.content()
    for where in (*PAGES, *hrefs, "/dead-letters/letter?id=1"):
        page.goto(where)
        seen += page.content()
    with httpx.Client(base_url=url, headers={"sec-fetch-site": "same-origin"}) as client:
        client.post("/login", data={"password": OPERATOR})
        with client.stream("GET", "/live/stream?after=0") as stream:
            seen += next(part for part in stream.iter_text() if "tr" in part)
        for href in hrefs:
            place = dict(re.findall(r"(connection|offset)=([^&]+)", href))
            for action in ("again", "case"):
                seen += client.post(f"/live/event/{action}", data=place, timeout=PATIENCE).text
        codes = re.findall(r"code=([a-z_0-9]+)", client.get("/dead-letters").text)
        assert codes
        for code in codes:
            group = {"which": "group", "connection": "US", "code": code}
            for what in ("dry-run", "export"):
                seen += client.post("/dead-letters/act", data={**group, "what": what}).text
    assert "total" in seen
    assert MARKER not in seen
    stored = b"".join(each.read_bytes() for each in router.directory.glob("router.db-console*"))
    assert b"total" in stored
    assert MARKER.encode() not in stored
