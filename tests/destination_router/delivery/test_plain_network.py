"""Connections over asyncio alone, as httpx's transport uses them, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import PATIENCE

from destination_router.delivery import plain_network
from destination_router.delivery.network import told_failure
from destination_router.delivery.plain_network import PlainTransport
from tests.helpers.waiting import closed_port

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def head_of(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """Read a request's head; gives the length of its body, too."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, int(length or 0)


@asynccontextmanager
async def vendor(answering: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    serving: set[asyncio.Task[None] | None] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answering(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, serving))


@asynccontextmanager
async def client(seconds: float = 30.0, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(transport=PlainTransport(**options), timeout=seconds) as one,
    ):
        yield one


def pool_of(http: httpx.AsyncClient) -> Any:
    return http._transport._pool  # type: ignore[attr-defined]


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection with its body."""
    while True:
        _, length = await head_of(reader)
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
        await writer.drain()


@pytest.mark.parametrize("size", [0, 5, 70_000, 5_000_000])
def test_a_body_of_any_length_goes_there_and_back(size: int) -> None:
    """Nothing is lost where either side has to wait for the other, on a connection that is kept."""

    async def run() -> None:
        async with vendor(answers) as port, client() as http:
            for _ in range(3):
                body = bytes(range(256)) * (size // 256 + 1)
                answer = await http.post(f"http://127.0.0.1:{port}/", content=body[:size])
                assert answer.content == body[:size]

    asyncio.run(run())


def test_a_loop_of_another_kind_is_served_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that hosts a router may run uvloop: there httpcore's own connections do."""
    monkeypatch.setattr(plain_network, "_KNOWN_LOOP", type(None))

    async def run() -> None:
        async with vendor(answers) as port, client() as http:
            answer = await http.post(f"http://127.0.0.1:{port}/", content=b"abc")
            assert answer.content == b"abc"

    asyncio.run(run())


def test_a_request_goes_out_in_one_piece() -> None:
    """Head and body come in one packet, so that a vendor wakes once."""
    came: list[bytes] = []

    async def looks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(10_000))
        writer.write(OK)
        await writer.drain()

    async def run() -> None:
        async with vendor(looks) as port, client() as http:
            await http.post(f"http://127.0.0.1:{port}/", content=b"the body")

    asyncio.run(run())
    assert came[0].endswith(b"\r\n\r\nthe body")


def test_over_an_open_connection_a_request_waits_for_nothing_but_its_answer() -> None:
    """No lock and no scope lets the event loop turn around before it is written."""

    async def run() -> None:
        async with vendor(answers) as port, client() as http:
            url = f"http://127.0.0.1:{port}/"
            await http.post(url, content=b"x")
            request = http.build_request("POST", url, content=b"x")
            sending: Any = http._transport.handle_async_request(request)
            waits_for = sending.send(None)
            (connection,) = pool_of(http).connections
            wire = connection._connection._network_stream._wire
            assert waits_for is not None
            assert waits_for is wire._reader
            sending.close()

    asyncio.run(run())


def test_a_connection_that_the_vendor_has_closed_is_not_used_again() -> None:
    """The next request opens another one, and never fails for it."""
    closed = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, length = await head_of(reader)
        await reader.readexactly(length)
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def run() -> None:
        async with vendor(once) as port, client() as http:
            for _ in range(20):
                closed.clear()
                answer = await http.post(f"http://127.0.0.1:{port}/", content=b"x")
                assert answer.text == "ok"
                await closed.wait()
                # What the vendor's end does to ours is heard in a turn of the loop after that.
                while any(not one.has_expired() for one in pool_of(http).connections):  # noqa: ASYNC110
                    await asyncio.sleep(0)

    asyncio.run(run())


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read, and say nothing."""
    del writer
    while await reader.read(65536):
        pass


async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request, and leave."""
    await head_of(reader)
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request, and break the connection off."""
    await head_of(reader)
    linger = b"\1\0\0\0\0\0\0\0"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with something else than HTTP."""
    await head_of(reader)
    writer.write(b"220 mail.example ESMTP\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("answering", "error", "words"),
    [
        (never, httpx.ReadTimeout, "no answer within 0.2 s"),
        (leaves, httpx.RemoteProtocolError, "it left without an answer"),
        (resets, httpx.ReadError, "Connection reset by peer"),
        (babbles, httpx.RemoteProtocolError, "what it answered is no HTTP"),
    ],
    ids=["silent", "leaves", "resets", "babbles"],
)
def test_what_goes_wrong_is_told_as_ever(
    answering: Answering, error: type[Exception], words: str
) -> None:
    """The exceptions are httpx's, and say why."""

    async def run() -> BaseException:
        async with vendor(answering) as port, client(0.2) as http:
            with pytest.raises(error) as failure:
                await http.post(f"http://127.0.0.1:{port}/", content=b"x")
            return failure.value

    told = told_failure(asyncio.run(run()), "http://vendor.example", None, 0.2)
    assert told == f"http://vendor.example: {words}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_nobody_listens_on_refuses(host: str) -> None:
    """Whatever number of addresses a name has."""

    async def run(port: int) -> BaseException:
        async with client() as http:
            with pytest.raises(httpx.ConnectError) as failure:
                await http.get(f"http://{host}:{port}/")
            return failure.value

    told = told_failure(asyncio.run(run(closed_port())), "http://vendor.example", None, 1.0)
    assert told == "http://vendor.example: the connection was refused"


def test_a_vendor_that_takes_nothing_is_given_up() -> None:
    """What does not fit into the sockets' buffers waits no longer than the setting says."""
    go_on = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.readexactly(1)
        await go_on.wait()

    async def run() -> None:
        async with vendor(deaf) as port, client(0.3) as http:
            with pytest.raises(httpx.TimeoutException):
                await http.post(f"http://127.0.0.1:{port}/", content=b"x" * 50_000_000)
            go_on.set()

    asyncio.run(run())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=vendor", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run([*asked, *about, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


def test_tls_is_spoken(certificate: Path) -> None:
    """A body of any length goes there and back, on a connection that is kept."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def run() -> None:
        async with vendor(answers, server) as port, client(verify=trusting) as http:
            for size in (5, 3_000_000, 0):
                answer = await http.post(f"https://127.0.0.1:{port}/", content=b"x" * size)
                assert answer.content == b"x" * size
            assert len(pool_of(http).connections) == 1

    asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    """Nothing is sent, and the failure names the certificate."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)

    async def run() -> BaseException:
        async with vendor(answers, server) as port, client() as http:
            with pytest.raises(httpx.ConnectError) as failure:
                await http.get(f"https://127.0.0.1:{port}/")
            return failure.value

    told = told_failure(asyncio.run(run()), "https://vendor.example", None, 1.0)
    assert told.startswith("https://vendor.example: its certificate is not trusted: ")


def test_what_speaks_no_tls_is_told() -> None:
    """A vendor's port may speak plain HTTP by mistake."""

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def run() -> BaseException:
        async with vendor(greets) as port, client() as http:
            with pytest.raises(httpx.ConnectError) as failure:
                await http.get(f"https://127.0.0.1:{port}/")
            return failure.value

    told = told_failure(asyncio.run(run()), "https://vendor.example", None, 1.0)
    assert told.startswith("https://vendor.example: TLS failed: ")


@pytest.mark.parametrize("forged", [b"", b"HTTP/1.1 299 Forged\r\nContent-Length: 0\r\n\r\n"])
def test_nothing_that_came_before_tls_passes_for_the_vendors_answer(
    certificate: Path, forged: bytes
) -> None:
    """A proxy, and whoever sits between it and the router, writes in the clear."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    one_read = 64 * 1024  # httpcore's: what comes behind it waits to be read
    begin, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n"
    tunnel = begin + b"x" * (one_read - len(begin + end)) + end

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(one_read):
                writer.write(data)
        writer.close()

    async def run() -> None:
        async with vendor(answers, server) as port:

            async def tunnels(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await head_of(reader)
                writer.write(tunnel + forged)
                there, on = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(carry(reader, on), carry(there, writer))

            async with vendor(tunnels) as proxy:
                through = f"http://127.0.0.1:{proxy}"
                async with client(proxy=through, verify=trusting) as http:
                    request = http.post(f"https://127.0.0.1:{port}/", content=b"x")
                    if not forged:
                        assert (await request).status_code == httpx.codes.OK
                        return
                    with pytest.raises(httpx.ConnectError) as failure:
                        await request
                told = told_failure(failure.value, "https://vendor.example", None, 1.0)
                assert told == "https://vendor.example: Protocol error"

    asyncio.run(run())


@pytest.mark.parametrize("delay", [0.0, 0.25])
def test_a_cancelled_connection_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    """Whenever it is cancelled, and whichever of a host's addresses has just answered."""
    monkeypatch.setattr(plain_network, "_NEXT_ADDRESS", delay)

    async def run() -> None:
        async def has_two_addresses(*_: Any, **__: Any) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, place) for place in places]

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", has_two_addresses)
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
            with socket.create_server(("127.0.0.2", port)) as other:
                places = [one.getsockname(), other.getsockname()]
                network = plain_network.PlainNetwork()
                before = _open_sockets()
                for turns in range(40):
                    connecting = loop.create_task(network.connect_tcp("vendor.example", port, 60.0))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    connecting.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await (await connecting).aclose()
                    for _ in range(20):
                        await asyncio.sleep(0)
                    assert _open_sockets() == before, f"cancelled after {turns} turns"

    gc.disable()  # it would close some
    try:
        asyncio.run(run())
    finally:
        gc.enable()


def _open_sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself is gone
            found += str(entry.readlink()).startswith("socket:")
    return found
