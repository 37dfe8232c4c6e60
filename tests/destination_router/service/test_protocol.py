"""What a client may take of the process, on real sockets: bytes, time, connections.

Modules: `service/protocol.py`, `service/read_buffer.py`, `service/joined_writes.py`,
`service/door.py`, `service/serving.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import waiting
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from waiting import PATIENCE

from destination_router.service import protocol
from destination_router.service.door import most_connections
from destination_router.service.protocol import BEGUN, BoundedProtocol, HttpBounds
from destination_router.service.read_buffer import ReadBuffer
from destination_router.service.serving import listen, serving

LENIENT = HttpBounds(
    header_bytes=2000, arrival=600.0, connections=100, read_bytes=1000, most_read_bytes=1000
)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    if scope["type"] == "http":
        with contextlib.suppress(ClientDisconnect):
            body = await Request(scope, receive).body()
            await PlainTextResponse(str(len(body)))(scope, receive, send)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    try:
        yield reader, writer
    finally:
        writer.close()


def answer_to(*parts: bytes, bounds: HttpBounds = LENIENT, app: Any = echo) -> bytes:
    """Send something on one connection; all that comes back until the server closes."""

    async def run() -> bytes:
        async with (
            asyncio.timeout(PATIENCE),
            serving(app, bounds=bounds) as url,
            connected(url) as (reader, writer),
        ):
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
            except ConnectionError:  # it was closed while something was still sent
                return b""

    return asyncio.run(run())


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def statuses_of(answers: bytes) -> list[int]:
    return [status_of(b"HTTP/1.1" + part) for part in answers.split(b"HTTP/1.1")[1:]]


HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"X: " + b"x" * 3000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: x\r\n" % n for n in range(500)) + b"\r\n",
        b"GET /" + b"p" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"X: " + b"x" * 3000,
        CHUNKED + b"0\r\n" + b"".join(b"T-%d: x\r\n" % n for n in range(500)),
        CHUNKED + b"0\r\nT: " + b"x" * 3000,
    ],
    ids=["one", "many", "path", "half of one", "trailers", "half a trailer"],
)
def test_what_is_no_body_has_a_bounded_length(request_bytes: bytes) -> None:
    """Headers, the path and trailers together; more is refused with 431."""
    assert status_of(answer_to(request_bytes)) == 431


def test_a_header_that_never_ends_is_not_kept() -> None:
    """Whatever is sent after the bound is passed is thrown away, and the connection ends."""
    endless = [HEAD + b"X: "] + [b"x" * 1000] * 5000
    assert status_of(answer_to(*endless)) in {431, 0}


def test_a_long_body_is_no_header() -> None:
    """Only what is beside the body counts, in one piece or in a thousand."""
    plain = HEAD + b"Connection: close\r\nContent-Length: 50000\r\n\r\n"
    assert answer_to(plain, *[b"x" * 1000] * 50).endswith(b"\r\n\r\n50000")
    assert answer_to(CHUNKED, b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n").endswith(b"\r\n\r\n5000")


def test_a_body_that_is_asked_for_late_is_whole() -> None:
    """Whatever came in before goes out in one piece, and beyond a bound nothing is read."""
    pieces = [bytes([letter]) * 700 for letter in b"abcdefgh"]
    asked = asyncio.Event()
    seen: list[bytes] = []

    async def late(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asked.wait()
            more = True
            while more:
                message = await receive()
                assert type(message["body"]) is bytes
                seen.append(message["body"])
                more = message["more_body"]
            await PlainTextResponse("done")(scope, receive, send)

    async def run() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            serving(late, bounds=LENIENT) as url,
            connected(url) as (reader, writer),
        ):
            writer.write(HEAD + b"Content-Length: 5600\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await _turns(20)
            asked.set()
            await reader.readuntil(b"done")

    asyncio.run(run())
    assert b"".join(seen) == b"".join(pieces)
    assert len(seen[0]) <= 2 * LENIENT.read_bytes


async def _turns(count: int) -> None:
    """Let the event loop take so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_few_connections_may_read_more_at_once() -> None:
    """All together hold no more than if all were open."""
    buffer = ReadBuffer(1000, 64, 256)
    for count in range(1, 1001):
        assert len(buffer.for_one_of(count)) == buffer.size(count)
        assert 64 <= buffer.size(count) <= 256
        assert count * buffer.size(count) <= 64_000
    assert (buffer.size(1), buffer.size(250), buffer.size(1000)) == (256, 256, 64)


# -- answers -------------------------------------------------------------------------------------


async def in_pieces(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the path says: nothing, a little, much, or a head and its body later."""
    if scope["type"] != "http":
        return
    await Request(scope, receive).body()
    body = b"y" * {"/nothing": 0, "/much": 200_000}.get(scope["path"], 5)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    if scope["path"] == "/later":
        go_on = asyncio.Event()
        WAITING.append(go_on)
        await go_on.wait()
    await send({"type": "http.response.body", "body": body})


WAITING: list[asyncio.Event] = []


@pytest.mark.parametrize("path", ["/nothing", "/little", "/much"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_an_answer_is_whole(path: str, method: str) -> None:
    """Head and body come in order and once, on a connection that is kept, however long."""

    async def run() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            serving(in_pieces) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            for _ in range(3):
                answer = await client.request(method, path)
                length = int(answer.headers["content-length"])
                assert len(answer.content) == (0 if method == "HEAD" else length)

    asyncio.run(run())


def test_a_head_does_not_wait_for_a_body_that_comes_later() -> None:
    """It goes out by itself; the body follows."""

    async def run() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            serving(in_pieces) as url,
            connected(url) as (reader, writer),
        ):
            writer.write(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            WAITING.pop().set()
            assert await reader.readexactly(5) == b"yyyyy"

    asyncio.run(run())


def test_a_small_answer_is_one_packet() -> None:
    """Head and body are written at once: a reader wakes once for both."""

    async def run() -> bytes:
        async with asyncio.timeout(PATIENCE), serving(in_pieces) as url:
            with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as client:
                client.setblocking(False)  # noqa: FBT003
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(client, b"GET /little HTTP/1.1\r\nHost: h\r\n\r\n")
                return await loop.sock_recv(client, 10_000)

    assert asyncio.run(run()).endswith(b"\r\n\r\nyyyyy")


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b"", 0),
        (b"POST / HT", 408),
        (HEAD, 408),
        (HEAD + b"Content-Length: 10\r\n\r\nx", 408),
        (CHUNKED + b"1\r\nx\r\n", 408),
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunked body"],
)
def test_a_request_has_to_arrive_in_time(part: bytes, status: int) -> None:
    """One that is sent by halves is refused, and its connection is closed."""
    answer = answer_to(part, bounds=HttpBounds(arrival=0.2))
    assert status_of(answer) == status


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Answer later than `HttpBounds(arrival=0.1)` lets a request arrive."""
    if scope["type"] == "http":
        await asyncio.sleep(0.3)
        await echo(scope, receive, send)


def test_the_time_counts_for_each_request_alone() -> None:
    """A connection that is kept has it anew, and what is slow to be answered is not late."""

    async def run() -> None:
        bounds = HttpBounds(arrival=0.1)
        async with (
            asyncio.timeout(PATIENCE),
            serving(slow, bounds=bounds) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            for _ in range(2):
                assert (await client.post("/", content=b"abc")).text == "3"

    asyncio.run(run())


def test_an_answer_that_nobody_fetches_is_given_up() -> None:
    """Else it would be kept, with its descriptor, for as long as the client likes."""

    async def run() -> None:
        over = asyncio.Event()

        async def long(scope: Any, _: Any, send: Any) -> None:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                body = {"type": "http.response.body", "body": b"x" * 50_000_000}
                await send({**body, "more_body": True})
                await send(body)  # waits until the first one is fetched, or nobody is there
                over.set()

        async with (
            asyncio.timeout(PATIENCE),
            serving(long, bounds=HttpBounds(fetching=0.2)) as url,
            connected(url) as (reader, writer),
        ):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await over.wait()

    asyncio.run(run())


def test_few_requests_wait_behind_one_another() -> None:
    """A thousand requests in one packet would be a thousand in memory."""
    many = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 1000
    answers = answer_to(many)
    assert answers.count(b"HTTP/1.1 200 OK") == 17
    assert answers.count(b"HTTP/1.1 429 ") == 1
    few = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 5 + b"GET / HTTP/1.0\r\n\r\n"
    assert answer_to(few).count(b"HTTP/1.1 200 OK") == 6


@pytest.mark.parametrize("whole", [1, 3])
@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense\r\n\r\n",
        b"GET http://[h HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
    ids=["line", "URL", "CONNECT", "body"],
)
def test_whole_requests_are_answered_before_a_bad_one_behind_them(
    whole: int, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Each answer is its own request's, the bad one's is the last, and nothing is written after."""
    assert statuses_of(answer_to(WHOLE * whole + bad)) == [200] * whole + [400]
    assert not caplog.records


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"\0"])
def test_a_bad_request_waits_for_the_answers_before_it(bad: bytes) -> None:
    """Once it was refused, nothing more has to arrive, so no time for that runs out."""
    answers = answer_to(WHOLE + bad, bounds=HttpBounds(arrival=0.1), app=slow)
    assert statuses_of(answers) == [200, 400]


@pytest.mark.parametrize("whole", [1, 3])
@pytest.mark.parametrize(
    ("half", "last"),
    [(b"POST / HT", []), (HEAD + b"Content-Length: 5\r\n\r\nhi", [408])],
    ids=["head", "body"],
)
def test_whole_requests_are_answered_at_the_end_before_half_a_one(
    whole: int, half: bytes, last: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server ends, only the half one runs out of time."""
    cut = asyncio.Event()
    cut_off = BoundedProtocol._cut_off

    def told(one: BoundedProtocol) -> None:
        cut_off(one)
        cut.set()

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await cut.wait()
            await echo(scope, receive, send)

    async def run() -> bytes:
        async with asyncio.timeout(PATIENCE), contextlib.AsyncExitStack() as stack:
            async with serving(patient) as url:
                reader, writer = await stack.enter_async_context(connected(url))
                writer.write(WHOLE * whole + half)
                await _turns(20)
            return await reader.read()

    monkeypatch.setattr(protocol, "_LAST_SECONDS", 0.0)
    monkeypatch.setattr(BoundedProtocol, "_cut_off", told)
    assert statuses_of(asyncio.run(run())) == [200] * whole + last


def test_an_answer_is_fetched_at_the_end_whatever_has_begun_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a head behind it is given up; a slow client still gets all of the answer."""
    size = 20_000_000
    answered, cut = asyncio.Event(), asyncio.Event()
    cut_off = BoundedProtocol._cut_off

    def told(one: BoundedProtocol) -> None:
        cut_off(one)
        cut.set()

    async def long(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("x" * size)(scope, receive, send)
            answered.set()

    async def run() -> bytes:
        async with asyncio.timeout(PATIENCE), contextlib.AsyncExitStack() as stack:
            serving_it = contextlib.AsyncExitStack()
            url = await serving_it.enter_async_context(serving(long))
            reader, writer = await stack.enter_async_context(connected(url))
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(WHOLE + b"GET / HT")
            await answered.wait()
            ending = asyncio.create_task(serving_it.aclose())
            await cut.wait()
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            answer = await reader.read()
            await ending
            return answer

    monkeypatch.setattr(protocol, "_LAST_SECONDS", 0.0)
    monkeypatch.setattr(BoundedProtocol, "_cut_off", told)
    assert len(asyncio.run(run()).partition(b"\r\n\r\n")[2]) == size


@pytest.mark.parametrize(
    ("part", "rest"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"nonsense\r\n"),
        (HEAD + b"Content-Length: 5\r\n\r\n", b"late"),
    ],
    ids=["bad", "late"],
)
def test_a_request_that_was_answered_early_gets_no_second_answer(part: bytes, rest: bytes) -> None:
    """The client would take it for the answer to its next request."""

    async def early(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("no")(scope, receive, send)

    async def run() -> bytes:
        async with (
            asyncio.timeout(PATIENCE),
            serving(early, bounds=HttpBounds(arrival=0.2)) as url,
            connected(url) as (reader, writer),
        ):
            writer.write(part)
            answer = await reader.readuntil(b"\r\n\r\nno")
            writer.write(rest)
            return answer + await reader.read()

    assert statuses_of(asyncio.run(run())) == [200]


def test_a_bad_body_that_was_not_awaited_yet_logs_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Anybody can send one: the app asks for the body once nothing can be written any more."""
    expecting = HEAD + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    assert statuses_of(answer_to(expecting)) == [400]
    assert not caplog.records


def test_only_so_many_connections_are_open() -> None:
    """One more is turned away in words, and there is room again when another leaves."""

    async def run() -> None:
        bounds = HttpBounds(connections=2)
        async with asyncio.timeout(PATIENCE), serving(echo, bounds=bounds) as url:
            async with connected(url) as (_, first), connected(url) as (_, second):
                for writer in (first, second):
                    writer.write(b"GET")
                async with connected(url) as (reader, _):
                    answer = await reader.read()
                assert status_of(answer) == 503
                assert b"retry-after: " in answer
            while True:
                try:
                    async with httpx.AsyncClient() as client:
                        found = await client.get(url)
                except httpx.TransportError:
                    continue
                if found.status_code == 200:
                    break

    asyncio.run(run())


def test_what_begins_an_answers_time_is_the_first_byte_of_its_request() -> None:
    """The latency that is measured is the one that a client sees."""
    begun: list[float] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            begun.append(scope[BEGUN])
            await echo(scope, receive, send)

    async def run() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            serving(note) as url,
            connected(url) as (reader, writer),
        ):
            writer.write(b"GET / HTTP/1.1\r\n")
            for _ in range(20):  # the server, in the same loop, reads what it has got
                await asyncio.sleep(0)
            later = asyncio.get_running_loop().time()
            writer.write(b"Connection: close\r\nHost: h\r\n\r\n")
            await reader.read()
            assert begun[0] < later

    asyncio.run(run())


def test_answers_are_not_held_back_by_the_system() -> None:
    """Nagle's algorithm is off on whatever a listener of ours accepts."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted = listener.accept()[0]
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


FEW_FILES = """
import asyncio, logging, resource, sys
sys.path[:0] = {folders!r}
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
import httpx, socket
from destination_router.service import door
from destination_router.service.logs import log_as_json
from destination_router.service.serving import serving
from test_protocol import PATIENCE, echo

async def run():
    async with asyncio.timeout(PATIENCE), serving(echo) as url:
        log_as_json()
        paused = asyncio.Event()
        class Told(logging.Handler):
            def emit(self, record):
                if record.getMessage() == "accepting_paused":
                    paused.set()
        logging.getLogger().addHandler(Told())
        port = httpx.URL(url).port
        # Their own files come out of the same 200: the accepted ones never get theirs all.
        mine = []
        try:
            while True:
                mine.append(socket.create_connection(("127.0.0.1", port)))
                mine[-1].send(b"GET / HT")
        except OSError:
            pass
        await paused.wait()
        for one in mine:
            one.close()
        while True:
            try:
                async with httpx.AsyncClient() as client:
                    print((await client.get(url)).text)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)

asyncio.run(run())
"""


def test_used_up_descriptors_neither_flood_the_log_nor_end_the_service() -> None:
    """It takes no connections for a moment, says so in few lines, and goes on by itself."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            FEW_FILES.format(folders=[str(Path(at).parent) for at in (__file__, waiting.__file__)]),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "0\n", done.stderr
    lines = done.stderr.splitlines()
    assert any("accepting_paused" in line for line in lines)
    assert len(lines) < 10


def test_a_process_that_may_open_few_files_takes_fewer_connections() -> None:
    """Some stay for the log and for vendors; one that may open more opens more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        assert most_connections(500) == min(500, hard - 128)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
