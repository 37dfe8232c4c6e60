"""The console of a router whose log is on a real Kafka: every page, a hold, a pause, a replay.

`scripts/test-kafka` runs it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from kafka_log import new_log
from router_process import Router, toml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from waiting import PATIENCE, free_port, until

from destination_router.service.serving import Asgi

PASSWORD = "operator-password"
ORDER = {"type": "track", "userId": "ada", "event": "Order Completed"}
PAGES = (
    "/",
    "/live",
    "/dead-letters",
    "/dead-letters?connection=US&code=missing_event",
    "/tester",
    "/connections",
    "/connections?name=US",
    "/privacy?connection=US",
    "/conformance",
)


class Vendor:
    """A vendor that refuses the key until it is told to take it."""

    def __init__(self) -> None:
        self.takes = False
        self.taken = 0

    def app(self) -> Asgi:
        async def answer(request: Request) -> Response:
            await request.body()
            self.taken += self.takes
            return JSONResponse({}, 200 if self.takes else 401)

        return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def configure(router: Router, vendor_url: str) -> str:
    """Write a router.toml with its log on Kafka and a console; gives where that is."""
    listen = f"127.0.0.1:{free_port()}"
    url = new_log().url
    text = toml(vendor_url).replace(
        '"sqlite:///router.db"', f'"{url}"\nkafka = {{replication = 1}}'
    )
    text = text.replace("[delivery]", '[delivery]\ntimeout = "1s"')  # within the brokers' session
    console = f'[console]\nlisten = "{listen}"\npassword = "{PASSWORD}"\n'
    (router.directory / "router.toml").write_text(f"{text}\n{console}")
    return f"http://{listen}"


def test_every_page_tells_of_a_log_on_kafka(router: Router, serve: Callable[[Asgi], str]) -> None:
    """What is behind, held and dead is seen; a person resumes, pauses, replays and deletes."""
    vendor = Vendor()
    url = configure(router, serve(vendor.app()))
    router.start()
    own = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=url, headers=own, timeout=PATIENCE) as client:
        client.post("/login", data={"password": PASSWORD})

        def shows(words: str, path: str = "/") -> None:
            until(lambda: words in client.get(path).text)

        seen = ""

        def look() -> None:
            nonlocal seen
            with client.stream("GET", "/live/stream?after=0") as stream:
                for part in stream.iter_text():
                    seen += part
                    if ">live-2<" in seen:
                        return

        looking = threading.Thread(target=look)
        looking.start()
        assert router.send({**ORDER, "messageId": "live-1"}) == 200
        assert router.send({**ORDER, "event": "", "messageId": "bad"}) == 200
        shows("held: http_401")
        until(lambda: re.search("<dt>Behind</dt><dd>[12]", client.get("/").text))
        vendor.takes = True
        assert client.post("/resume", data={"connection": "US"}).status_code == 303
        until(lambda: vendor.taken)
        shows(">sending<")
        shows("missing_event", "/dead-letters")
        assert router.send({**ORDER, "messageId": "live-2"}) == 200
        looking.join(PATIENCE)
        assert ">live-1<" in seen
        assert ">live-2<" in seen

        for path in PAGES:
            assert client.get(path).status_code == 200, path
        (event, *_) = re.findall(r'href="(/live/event\?[^"]+)"', client.get("/live").text)
        assert "Order Completed" in client.get(event.replace("&amp;", "&")).text
        (letter, *_) = re.findall(
            r'href="(/dead-letters/letter\?[^"]+)"', client.get(PAGES[3]).text
        )
        assert "missing_event" in client.get(letter.replace("&amp;", "&")).text

        client.post("/pause", data={"connection": "US"})
        shows(">paused<")
        client.post("/resume", data={"connection": "US"})
        shows(">sending<")

        group = {"which": "group", "connection": "US", "code": "missing_event", "sure": "yes"}
        for what, done in (("replay", "replayed 1"), ("delete", "deleted")):
            answer = client.post(
                "/dead-letters/act", data={**group, "what": what}, follow_redirects=True
            )
            assert done in answer.text
            if what == "replay":  # it is as wrong as it was, and comes back
                shows("missing_event", "/dead-letters")
        assert "There are none." in client.get("/dead-letters").text
    assert router.stop() == 0
