"""Vendors that answer slowly, endlessly, in garbage or never: each costs a bounded wait.

Modules: `delivery/sender.py`, `answer_body.py`, `network.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
from rough_server import Behave, RoughServer, drip, hang, says
from waiting import PATIENCE, closed_port

from destination_router.contract.records import HttpRequest
from destination_router.delivery.answer_body import AnswerBody, read_answer_body
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

SINGLE = HttpRequest(url="https://v.example/secret/path?key=s", json={}, message_ids=("a",))
BULK = msgspec.structs.replace(SINGLE, message_ids=("a", "b"))
PATIENT = DeliverySettings(timeout=PATIENCE, concurrency=1, max_answer=100_000)
SOON = msgspec.structs.replace(PATIENT, timeout=1.0)
"""Where no answer comes."""

CUT_OFF = msgspec.structs.replace(PATIENT, timeout=3.0)
"""Where an answer begins at once and has no end: a busy machine takes a while to begin."""
Start = Callable[[Behave], str]


@pytest.fixture
def vendor() -> Iterator[Start]:
    """Start a vendor that behaves so; gives its URL."""
    running: list[RoughServer] = []

    def start(behave: Behave) -> str:
        running.append(RoughServer(behave))
        return running[-1].url

    yield start
    for server in running:
        server.close()


def attempts(url: str, settings: DeliverySettings, *requests: HttpRequest) -> list[Answer]:
    """Send requests one after the other to wherever a URL leads."""

    async def send() -> list[Answer]:
        connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
        settled = msgspec.structs.replace(settings, origins={"*": url})
        async with asyncio.timeout(PATIENCE), Sender(connection, settled) as sender:
            return [await sender.attempt(request) for request in requests]

    return asyncio.run(send())


def results(answer: Answer) -> set[tuple[str, str]]:
    return {(outcome.result, outcome.code) for outcome in answer.outcomes.values()}


def head(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


def for_ever(start: bytes, piece: bytes, pause: float = 0.0) -> Behave:
    """Answer without an end, for as long as the client reads."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        with contextlib.suppress(OSError):
            while not over.wait(pause):
                connection.sendall(piece)

    return behave


BOMB = gzip.compress(bytes(50_000_000), 9)
CHUNK = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
CUT = {
    "drip": drip,
    "endless": for_ever(head(200), b"x" * 10_000),
    "endless chunks": for_ever(head(200, "Transfer-Encoding: chunked"), CHUNK),
    "gzip bomb": says(head(200, "Content-Encoding: gzip") + BOMB),
    "more behind gzip": for_ever(head(200, "Content-Encoding: gzip"), gzip.compress(b"")),
    "broken gzip": says(head(200, "Content-Encoding: gzip") + b"no gzip at all"),
    "half a gzip": says(head(200, "Content-Encoding: gzip") + BOMB[:1000]),
    "short": says(head(200, "Content-Length: 100") + b"half"),
    "bad chunk": says(head(200, "Transfer-Encoding: chunked") + b"zz\r\n"),
}


@pytest.mark.parametrize("behave", CUT.values(), ids=CUT)
def test_of_an_answer_that_is_cut_the_status_decides_about_a_single_message(
    behave: Behave, vendor: Start
) -> None:
    """A bulk is taken apart: what the answer said of each message is lost."""
    settings = CUT_OFF if behave is drip else PATIENT
    single, bulk = attempts(vendor(behave), settings, SINGLE, BULK)
    assert results(single) == {("delivered", "")}
    assert results(bulk) == {("suspect", "cut_answer")}
    assert single.response is not None
    assert len(single.response.body) <= settings.max_answer


@pytest.mark.parametrize(
    ("status", "single", "bulk"),
    [(400, "rejected", "suspect"), (503, "retry", "retry"), (429, "retry", "retry")],
)
def test_what_is_to_be_sent_again_is_not_sent_apart(
    status: int, single: str, bulk: str, vendor: Start
) -> None:
    """Of a cut answer whose status is for the whole request, all share the outcome."""
    url = vendor(for_ever(head(status), b"x" * 10_000))
    told = [results(answer) for answer in attempts(url, PATIENT, SINGLE, BULK)]
    assert told == [{(single, f"http_{status}")}, {(bulk, f"http_{status}")}]


LATE = "no answer within 1 s"
NOT_ANSWERED = {
    "silence": (hang, LATE),
    "103s": (for_ever(b"", b"HTTP/1.1 103 Early\r\n\r\n"), LATE),
    "dripping head": (for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.01), LATE),
    "gone": (says(b""), "it left without an answer"),
    "garbage": (says(b"\x00\xff the secret of ada\r\n\r\n"), "what it answered is no HTTP"),
    "headers": (for_ever(head(200)[:-2], b"X: y\r\n" * 1000), "what it answered is no HTTP"),
    "a bad status": (says(b"HTTP/1.1 2000 OK\r\n\r\n"), "what it answered is no HTTP"),
}


@pytest.mark.parametrize(("behave", "why"), NOT_ANSWERED.values(), ids=NOT_ANSWERED)
def test_a_vendor_that_does_not_answer_is_told_by_its_host_and_why(
    behave: Behave, why: str, vendor: Start
) -> None:
    """The one slot is free again for the next; no word of the path, the query or the vendor's."""
    url = vendor(behave)
    for answer in attempts(url, SOON if why == LATE else PATIENT, SINGLE, BULK):
        assert results(answer) == {("retry", "network")}
        assert answer.failure == f"{url}: {why}"
        assert {outcome.detail for outcome in answer.outcomes.values()} == {answer.failure}


def test_nobody_listens() -> None:
    """The host, its port, and that it refuses."""
    url = f"http://127.0.0.1:{closed_port()}"
    (answer,) = attempts(url, PATIENT, SINGLE)
    assert answer.failure == f"{url}: the connection was refused"


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name, and that it is not found."""

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    (answer,) = attempts("https://vendor.invalid:444", PATIENT, SINGLE)
    assert answer.failure == (
        "https://vendor.invalid:444: its name is not found: Name or service not known"
    )


def test_a_vendor_without_tls() -> None:
    """What speaks no TLS is not taken for a vendor that is down."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"

        def speak() -> None:
            # Whether the client leaves with a reset is the system's affair.
            with listener.accept()[0] as connection, contextlib.suppress(ConnectionResetError):
                connection.recv(1)
                connection.sendall(head(400))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        threading.Thread(target=speak, daemon=True).start()
        (answer,) = attempts(url, PATIENT, SINGLE)
    assert answer.failure.startswith(f"{url}: TLS failed: ")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_named_without_its_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which host through which proxy, and what went wrong; `NO_PROXY` is heeded."""
    port = closed_port()
    monkeypatch.setenv(name, f"http://me:secret@127.0.0.1:{port}")
    (answer,) = attempts("http://vendor.invalid", PATIENT, SINGLE)
    assert answer.failure == (
        f"http://vendor.invalid through the proxy http://127.0.0.1:{port}: "
        "the connection was refused"
    )
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (answer,) = attempts(f"http://127.0.0.1:{port}", PATIENT, SINGLE)
    assert answer.failure == f"http://127.0.0.1:{port}: the connection was refused"


def test_what_a_proxy_answers_is_told(vendor: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status, since its words may be anybody's."""
    proxy = vendor(says(b"HTTP/1.1 407 secret\r\nContent-Length: 0\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    (answer,) = attempts("https://vendor.invalid", PATIENT, SINGLE)
    assert answer.failure == (
        f"https://vendor.invalid through the proxy {proxy}: the proxy answered 407"
    )


def test_a_proxy_that_is_no_url_costs_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the environment's fault: everything waits, and nothing is a dead letter."""
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy")
    (answer,) = attempts("https://vendor.invalid", PATIENT, SINGLE)
    assert results(answer) == {("retry", "network")}
    assert answer.failure == "the proxy that the environment names cannot be used"


def test_cookies_are_not_kept(vendor: Start) -> None:
    """A vendor that sets a new one each time would be sent all of them, until it refuses."""
    heads: list[bytes] = []

    def behave(connection: socket.socket, _: threading.Event) -> None:
        answer = (
            f"HTTP/1.1 200 OK\r\nSet-Cookie: c{len(heads)}=1; Path=/\r\nContent-Length: 0\r\n\r\n"
        )
        connection.sendall(answer.encode())
        heads.append(connection.recv(65536))  # the next request comes over the same connection
        last = answer.replace("Content-Length", "Connection: close\r\nContent-Length")
        connection.sendall(last.encode())

    attempts(vendor(behave), PATIENT, *[SINGLE] * 4)
    assert len(heads) == 2
    assert all(b"POST /secret/path" in sent and b"cookie" not in sent.lower() for sent in heads)


# -- how a body is read --------------------------------------------------------------------------

TEXT = b"what the vendor says of each message " * 100


def read(content: bytes, encoding: str = "", limit: int = 10_000, step: int = 7) -> AnswerBody:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), step):
            yield content[start : start + step]

    async def reading() -> AnswerBody:
        deadline = asyncio.get_running_loop().time() + 60
        return await read_answer_body(chunks(), encoding, limit, deadline)

    return asyncio.run(reading())


def bare(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("GZIP ", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare(TEXT)),
        ("unheard-of", TEXT),
    ],
    ids=["plain", "identity", "gzip", "GZIP", "x-gzip", "deflate", "bare deflate", "unheard-of"],
)
def test_what_is_packed_is_unpacked(encoding: str, packed: bytes, step: int) -> None:
    """In whatever pieces it comes; what nobody knows how to unpack is read as it is."""
    assert read(packed, encoding, step=step) == AnswerBody(TEXT, is_whole=True)


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_nothing_is_whole(encoding: str) -> None:
    """An answer without a body is not cut, whatever its headers say of it."""
    assert read(b"", encoding) == AnswerBody(b"", is_whole=True)


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    """One byte more is not, and is not kept."""
    assert read(b"x" * 100, limit=100) == AnswerBody(b"x" * 100, is_whole=True)
    assert read(b"x" * 101, limit=100) == AnswerBody(b"x" * 100, is_whole=False)


def test_a_gzip_bomb_is_never_unpacked_further_than_the_limit() -> None:
    """Memory is the limit's, not the bomb's."""
    tracemalloc.start()
    try:
        answer = read(BOMB, "gzip", limit=100_000, step=65_536)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer == AnswerBody(bytes(100_000), is_whole=False)
    assert peak < 2_000_000
