"""docs/operating.md: the nginx that stands in front of the gateway does what the page says.

A real nginx, with the page's own configuration but for its address, its certificate and how many
connections it takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from console_served import OPERATOR, TOML, Served
from waiting import free_port, until

from destination_router.eventlog.memory import MemoryEventLog
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.service.serving import Asgi

PAGE = Path(__file__).parent.parent / "docs" / "operating.md"
WHOLE = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {example}
}}
"""


def example(words: str) -> str:
    found = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (chosen,) = (block for block in found if words in block)
    return str(chosen)


@pytest.fixture
def nginx() -> str:
    """The path of nginx; a machine without it skips the test, but not CI."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    missing = "nginx" if found is None else "" if shutil.which("openssl") else "openssl"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing} is not installed, and CI must not skip this")
    if missing or found is None:
        pytest.skip(f"{missing} is not installed: apt-get install nginx openssl")
    return found


class Log(MemoryEventLog):
    """A log that knows what was appended."""

    def __init__(self) -> None:
        super().__init__(["test"])
        self.kept: list[bytes] = []

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        self.kept += bodies
        await super().append(bodies, source)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def asked() -> list[str]:
    """The paths of what reached the gateway."""
    return []


@pytest.fixture
def url(
    nginx: str,
    tmp_path: Path,
    serve: Callable[[Asgi], str],
    log: Log,
    asked: list[str],
) -> Iterator[str]:
    """Nginx in front of a gateway; gives its URL."""
    app = create_gateway(log, Sources.of_keys(["key"]))

    async def noting(scope: object, receive: object, send: object) -> None:
        assert isinstance(scope, dict)
        asked.append(str(scope.get("path")))
        await app(scope, receive, send)  # type: ignore[arg-type]

    gateway = httpx.URL(serve(noting))
    here = {
        "limit_conn connections 50;": "limit_conn connections 5;",
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{gateway.port};",
        "/etc/ssl/events.example.com.pem": str(tmp_path / "certificate.pem"),
        "/etc/ssl/private/events.example.com.key": str(tmp_path / "key.pem"),
    }
    with behind(nginx, tmp_path, example("limit_conn_zone"), here) as url:
        asked.clear()
        yield url


@contextlib.contextmanager
def behind(nginx: str, tmp_path: Path, text: str, replaced: dict[str, str]) -> Iterator[str]:
    """Run nginx with an example of the page, but for what is different here; gives its URL."""
    port = free_port()
    listen = {"listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;"}
    for written, here in {**listen, **replaced}.items():
        assert text.count(written) == 1
        text = text.replace(written, here)
    asked_for = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.com"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    subprocess.run(["openssl", *asked_for, *files], check=True, capture_output=True)
    user = "user root;" if os.getuid() == 0 else ""  # else it may not enter the folder
    config = tmp_path / "nginx.conf"
    config.write_text(WHOLE.format(folder=tmp_path, user=user, example=text))
    with (
        (tmp_path / "said").open("wb") as said,
        subprocess.Popen([nginx, "-p", tmp_path, "-c", config], stderr=said) as process,
    ):
        try:
            until(lambda: answers(port))
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, verify=False, auth=("key", ""))  # its own certificate


def test_events_come_through_and_say_where_they_come_from(url: str, log: Log) -> None:
    """The address is the one that nginx sees: what a sender claims is left out."""
    with client(url) as sender:
        track = {"type": "track", "userId": "u", "event": "E"}
        claimed = {"X-Forwarded-For": "192.0.2.1"}
        for path in ("/v1/track", "/beacon/v1/batch?writeKey=key"):
            body = track if path == "/v1/track" else {"batch": [track]}
            found = sender.post(path, json=body, headers=claimed)
            assert (found.status_code, found.text) == (200, "ok")
        pixel = sender.get("/pixel/v1/track?writeKey=key&userId=u&event=E", headers=claimed)
        assert pixel.status_code == 200
        assert sender.get("/sourceConfig/?writeKey=key").status_code == 200
    assert {json.loads(event)["request_ip"] for event in log.kept} == {"127.0.0.1"}
    assert len(log.kept) == 3


@pytest.mark.parametrize("path", ["/metrics", "/health", "/ready", "/", "/v1", "/v1/../metrics"])
def test_what_is_for_operators_is_for_nobody_else(path: str, url: str, asked: list[str]) -> None:
    """Nothing but what SDKs use reaches the router."""
    with client(url) as sender:
        sender.get("/sourceConfig/?writeKey=key")  # reaches it
        assert sender.get(path).status_code == 404
    assert asked == ["/sourceConfig/"]


def test_a_body_that_is_too_large_is_refused_in_front(url: str, asked: list[str]) -> None:
    """As the gateway would, and without its memory."""
    with client(url) as sender:
        assert sender.post("/v1/batch", content=bytes(4_200_000)).status_code == 413
        assert sender.post("/v1/batch", content=bytes(4_000_000)).status_code == 400
    assert asked == ["/v1/batch"]


def half_a_request(url: str) -> ssl.SSLSocket:
    """Open a connection and send the first half of a request on it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = httpx.URL(url)
    sender = context.wrap_socket(socket.create_connection((address.host, address.port or 0)))
    sender.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    return sender


def test_half_a_request_never_reaches_the_router(url: str, asked: list[str]) -> None:
    """Nginx waits for the whole of it, so that slow senders take nothing of the router."""
    with half_a_request(url), client(url) as sender:
        assert sender.post("/v1/track", json={"userId": "u"}).status_code == 200
        assert asked == ["/v1/track"]


def test_one_address_opens_a_bounded_number_of_connections(url: str) -> None:
    """Others are not kept out by one that opens as many as it likes."""
    with contextlib.ExitStack() as held, client(url) as sender:
        for _ in range(5):
            held.enter_context(half_a_request(url))
        until(lambda: sender.post("/v1/track", json={"userId": "u"}).status_code == 429)


def test_the_console_works_behind_its_own(
    nginx: str, tmp_path: Path, serve: Callable[[Asgi], str]
) -> None:
    """By the name of the page alone: its cookie goes over TLS, forms act, Live is not held up."""
    name = "console.example.com"
    with contextlib.closing(Served(tmp_path, TOML, url=f"https://{name}")) as console:
        console.start(serve)
        here = {
            "proxy_pass http://127.0.0.1:8081;": f"proxy_pass {console.url};",
            "/etc/ssl/console.pem": str(tmp_path / "certificate.pem"),
            "/etc/ssl/console.key": str(tmp_path / "key.pem"),
        }
        with behind(nginx, tmp_path, example(name), here) as url, client(url) as browser:
            browser.headers.update({"host": name, "origin": f"https://{name}"})
            signed_in = browser.post("/login", data={"password": OPERATOR})
            cookie = signed_in.headers["set-cookie"]
            assert cookie.startswith("__Host-console=")
            assert "Secure" in cookie
            browser.headers["cookie"] = cookie.partition(";")[0]
            assert browser.post("/pause", data={"connection": "heap"}).status_code == 303
            assert "Resume" in browser.get("/").text
            other = {"origin": "https://other.example.com"}
            assert (
                browser.post("/pause", data={"connection": "heap"}, headers=other).status_code
                == 403
            )
            assert browser.get("/", headers={"host": "other.example.com"}).status_code == 403
            with browser.stream("GET", "/live/stream") as stream:
                assert next(stream.iter_text()) == ": here\n\n"
            console.over()
