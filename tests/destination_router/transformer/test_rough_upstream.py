"""A transformer behind ours that misbehaves, and a rudder-server that leaves: real sockets."""

from __future__ import annotations

import gzip
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from rough_server import Behave, RoughServer, drip, hang, says
from transformer_process import Transformer
from waiting import PATIENCE

from destination_router.service.serving import Asgi
from destination_router.transformer import upstream
from destination_router.transformer.app import create_transformer

FORWARDED = ("/v0/destinations/braze", [{"message": {"userId": "ada@example.com"}}])
DELETION = (
    "/deleteUsers",
    [{"destType": "BRAZE", "userAttributes": [{"userId": "ada@example.com"}]}],
)
PERSONAL = b'[{"output":{"userId":"ada@example.com"}}]'
PACKED = gzip.compress(PERSONAL)
OURS = [
    {
        "message": {"type": "track", "userId": "u-1", "event": "E"},
        "destination": {"Config": {"appId": "123"}},
    }
]


def answer(
    body: bytes, *headers: bytes, length: int | None = None, status: bytes = b"200"
) -> bytes:
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status + b" So", size, *headers, b"", body])


Behind = Callable[[Behave], tuple[str, RoughServer]]


@pytest.fixture
def behind(serve: Callable[[Asgi], str]) -> Iterator[Behind]:
    """A transformer of ours before one that behaves so; both end with the test."""
    running: list[RoughServer] = []

    def start(behave: Behave) -> tuple[str, RoughServer]:
        rough = RoughServer(behave, fair=b"GET /features ")
        running.append(rough)
        url = serve(create_transformer(upstream=rough.url))
        assert rough.asked.acquire(timeout=PATIENCE), "it was asked for its features"
        assert rough.left.acquire(timeout=PATIENCE)
        return url, rough

    yield start
    for rough in running:
        rough.close()


@pytest.mark.parametrize("behave", [drip, hang])
@pytest.mark.parametrize(("path", "body"), [FORWARDED, DELETION])
def test_an_answer_that_takes_for_ever_is_a_504(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, behave: Behave, path: str, body: Any
) -> None:
    """The whole of an answer has a time, not each byte of it; rudder-server is told which."""
    monkeypatch.setattr(upstream, "_IN_ALL", 0.2)
    url, _ = behind(behave)
    found = httpx.post(url + path, json=body)
    assert (found.status_code, found.headers["apiversion"]) == (504, "2")
    assert "did not answer in full within 0.2 seconds" in found.text
    assert "x-rudder-should-retry" not in found.headers


def test_a_mixed_deletion_does_not_wait_for_the_others_time(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of ours is answered for, and the upstream's has the status of its silence."""
    monkeypatch.setattr(upstream, "_IN_ALL", 0.2)
    url, _ = behind(hang)
    ours = {"destType": "HEAP", "config": {"appId": "11"}, "userAttributes": [{"userId": "a"}]}
    found = httpx.post(f"{url}/deleteUsers", json=[ours, *DELETION[1]]).json()
    assert [job["statusCode"] for job in found] == [400, 504]
    assert "in full within" in found[1]["error"]


BROKEN = {
    "cut": answer(PERSONAL, length=1000),
    "cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"29\r\n" + PERSONAL,
    "cut gzip": answer(PACKED[:-4], b"Content-Encoding: gzip"),
    "broken gzip": answer(b"no gzip", b"Content-Encoding: gzip"),
    "nothing": b"",
    "no HTTP": b"ada@example.com\r\n\r\n",
    "bad header": answer(PERSONAL, b"X-Bad ada@example.com"),
    "bad length": answer(PERSONAL, b"Content-Length: ada@example.com"),
    "no status": answer(PERSONAL, status=b"999"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize(("path", "body"), [FORWARDED, DELETION])
def test_an_answer_that_is_broken_is_a_502(
    behind: Behind, caplog: pytest.LogCaptureFixture, name: str, path: str, body: Any
) -> None:
    """And never its first half; the log has one line for it, without what it holds."""
    url, _ = behind(says(BROKEN[name]))
    caplog.clear()
    found = httpx.post(url + path, json=body)
    assert found.status_code == 502
    assert found.text == (
        "the upstream transformer's answer is cut short, too long or no valid HTTP\n"
    )
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.message for record in told] == ["upstream_failed"]
    assert "ada@" not in str(vars(told[0]))


@pytest.mark.parametrize(
    "body",
    [
        answer(b" " * 2000),
        answer(gzip.compress(b" " * 2000), b"Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 2000,
    ],
    ids=["of a length", "packed", "until the end"],
)
def test_an_answer_that_is_too_long_is_a_502(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """Packed or unpacked: no answer takes all memory."""
    monkeypatch.setattr(upstream, "_MOST_BYTES", 1000)
    url, _ = behind(says(body))
    assert httpx.post(url + FORWARDED[0], json=[]).status_code == 502


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("HEAD", b"200", [b"Content-Encoding: gzip"]),
        ("GET", b"304", [b"Content-Encoding: gzip", b"ETag: x"]),
    ],
)
def test_an_answer_that_has_no_body_lacks_none(
    behind: Behind, method: str, status: bytes, headers: list[bytes]
) -> None:
    """What its headers say of a body is of one that stayed away, and is passed on."""
    url, _ = behind(says(answer(b"", *headers, length=7, status=status)))
    found = httpx.request(method, f"{url}/anything")
    assert (found.status_code, found.content) == (int(status), b"")
    assert found.headers["content-length"] == "7"


def test_what_an_answer_has_too_much_is_in_no_other_answer(behind: Behind) -> None:
    """Its length counts what is passed on, and the next request starts on a clean connection."""
    url, _ = behind(says(answer(b"[1]" + answer(b"[2]"), length=3)))
    for _ in range(3):
        assert httpx.post(url + FORWARDED[0], json=[]).content == b"[1]"


def test_our_own_work_goes_on_beside_an_upstream_that_hangs(behind: Behind) -> None:
    """However many of its requests are under way."""
    url, rough = behind(hang)
    head = f"POST {FORWARDED[0]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".encode()
    address = httpx.URL(url)
    waiting = [socket.create_connection((address.host, address.port or 0)) for _ in range(120)]
    for one in waiting:
        one.sendall(head)
    for _ in waiting:
        assert rough.asked.acquire(timeout=PATIENCE), "each reached the upstream"
    assert httpx.post(f"{url}/v0/destinations/heap", json=OURS).json()[0]["statusCode"] == 200
    for one in waiting:
        one.close()


def test_who_leaves_takes_the_request_to_the_upstream_along(
    behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would read the answer; rudder-server asks anew, and must not find the old ones."""
    url, rough = behind(hang)
    caplog.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url + FORWARDED[0], json=FORWARDED[1], timeout=httpx.Timeout(30, read=0.05))
    assert rough.left.acquire(timeout=PATIENCE)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", [FORWARDED[0], "/v0/destinations/heap", "/deleteUsers"])
def test_who_leaves_amid_its_request_is_no_error(
    behind: Behind, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """The rest of it never comes: nothing was asked of anybody, and nothing failed here."""
    url, rough = behind(says(answer(b"{}")))
    caplog.clear()
    address = httpx.URL(url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[".encode()
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert httpx.post(f"{url}/v0/destinations/heap", json=OURS).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not rough.asked.acquire(blocking=False)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_upstream_that_hangs_does_not_delay_the_end(
    start: Callable[..., Transformer], workers: str
) -> None:
    """SIGTERM while it is asked for its features ends the asking: nothing is told of a silence."""
    rough = RoughServer(hang)
    running = start("--upstream", rough.url, "--workers", workers)
    for _ in range(int(workers)):
        assert rough.asked.acquire(timeout=PATIENCE)
    assert running.ask(OURS[0]["message"])[0]["statusCode"] == 200
    assert running.stop() == []
    assert running.process.returncode == 0
    rough.close()


@pytest.mark.parametrize("path", ["/" + "x" * 70_000, "/\xe9", "*"])
def test_a_path_that_cannot_be_passed_on_is_the_senders_fault(behind: Behind, path: str) -> None:
    """A 4xx, and nothing in the log of an upstream that was not asked."""
    url, rough = behind(says(answer(b"{}")))
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall(f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
        assert connection.recv(100).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    assert not rough.asked.acquire(blocking=False)
