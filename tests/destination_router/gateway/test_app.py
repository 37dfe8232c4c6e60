"""What the gateway answers, and what it keeps: request by request, without a socket.

Modules: `gateway/app.py`, `replies.py`, `request_body.py`, `write_keys.py`, `request_headers.py`.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from waiting import PATIENCE

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.gateway.app import create_gateway
from destination_router.gateway.body_room import FREE_BYTES
from destination_router.gateway.sources import Sources

KEYS = ["key-one", "clé-deux"]
EVENT = {"type": "track", "userId": "u", "event": "Signed up", "messageId": "m"}
ROUTES = ["identify", "track", "page", "screen", "group", "alias"]
NOSNIFF = "x-content-type-options"


class Recorder:
    """An event log that remembers each call of `append`, or refuses all of them."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self._fails = fails

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:  # noqa: ARG002
        if self._fails is not None:
            raise self._fails
        self.calls.append([json.loads(body) for body in bodies])

    async def read(self, connection: str, after: int, limit: int) -> Any:
        raise NotImplementedError

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        raise NotImplementedError

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for call in self.calls for event in call]


class Sender:
    """Sends requests to a gateway, and knows what the gateway kept."""

    def __init__(self, *, fails: Exception | None = None, **options: Any) -> None:
        numbers = count(1)
        self.log = Recorder(fails=fails)
        self.app = create_gateway(
            self.log,
            Sources.of_keys(KEYS),
            clock=lambda: datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC),
            new_id=lambda: f"new-{next(numbers)}",
            **options,
        )

    def __call__(
        self,
        path: str = "/v1/batch",
        body: Any = b"",
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        user: str | None = KEYS[0],
    ) -> httpx.Response:
        sent = {} if user is None else {"Authorization": basic(f"{user}:")}
        content = json.dumps(body).encode() if isinstance(body, dict) else body

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(
                    method, path, content=content, headers=sent | (headers or {})
                )

        return asyncio.run(send())


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def answer(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.text


@pytest.fixture
def send() -> Sender:
    return Sender()


# -- what is accepted ---------------------------------------------------------------------------


def test_a_batch_is_answered_with_ok_without_a_newline(send: Sender) -> None:
    """Success is `ok`, in lower case; SDKs look at the status alone."""
    response = send("/v1/batch", {"batch": [EVENT]})

    assert answer(response) == (200, "ok")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert NOSNIFF not in response.headers


def test_the_events_of_a_request_are_appended_in_one_call(send: Sender) -> None:
    """All or none are kept, in the order they were sent."""
    send("/v1/batch", {"batch": [{**EVENT, "n": n} for n in range(3)], "sentAt": "x"})

    assert [[event["n"] for event in call] for call in send.log.calls] == [[0, 1, 2]]


@pytest.mark.parametrize("route", ROUTES)
def test_a_single_route_says_the_type(send: Sender, route: str) -> None:
    """`/v1/<type>` takes one event, whatever the event calls itself."""
    response = send(f"/v1/{route}", {**EVENT, "type": "other"})

    assert answer(response) == (200, "ok")
    assert [route] == [event["type"] for event in send.log.events]


def test_a_batch_never_judges_the_type(send: Sender) -> None:
    """An event of no known type is kept: the pipeline refuses it, for itself alone."""
    batch = [{"userId": "u"}, {"userId": "u", "type": 7}, EVENT]

    assert answer(send("/v1/batch", {"batch": batch})) == (200, "ok")
    assert len(send.log.events) == 3


def test_an_event_is_completed_on_its_way_in(send: Sender) -> None:
    """Each event of the request gets what it lacks, and an id of its own."""
    send("/v1/batch", {"batch": [{"userId": "u"}, {"anonymousId": "a", "messageId": " "}]})

    added = {
        "receivedAt": "2026-03-04T05:06:07.890Z",
        "timestamp": "2026-03-04T05:06:07.890Z",
        "request_ip": "192.0.2.7",
    }
    assert [
        {"userId": "u", "messageId": "new-1", **added},
        {"anonymousId": "a", "messageId": "new-2", **added},
    ] == send.log.events


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 2001:db8::1 , 10.0.0.1", "2001:db8::1"),
        ("", "192.0.2.7"),
        (", 10.0.0.1", "192.0.2.7"),
    ],
)
def test_the_first_hop_that_a_proxy_names_is_the_address(
    send: Sender, forwarded: str, expected: str
) -> None:
    """Behind a load balancer the peer's address says nothing."""
    send("/v1/track", EVENT, {"X-Forwarded-For": forwarded})

    assert [expected] == [event["request_ip"] for event in send.log.events]


def test_the_address_that_one_event_gives_is_its_own(send: Sender) -> None:
    """Its neighbours keep the address of the request."""
    send("/v1/batch", {"batch": [{**EVENT, "request_ip": "198.51.100.1"}, EVENT]})

    assert [event["request_ip"] for event in send.log.events] == ["198.51.100.1", "192.0.2.7"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "image/png", ""])
def test_the_content_type_is_never_looked_at(send: Sender, content_type: str) -> None:
    """Beacons send JSON as text."""
    assert send("/v1/track", EVENT, {"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize("odd", ["NaN", "Infinity", '"\\ud83d"', "[" * 9999 + "]" * 9999])
def test_one_odd_event_costs_its_neighbours_nothing(odd: str) -> None:
    """Ninety-nine good events arrive, whatever the hundredth holds."""
    kept: list[bytes] = []

    class Keeper(Recorder):
        async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:  # noqa: ARG002
            kept.extend(bodies)

    send = Sender()
    send.app = create_gateway(Keeper(), Sources.of_keys(KEYS))
    good = [json.dumps({**EVENT, "n": n}) for n in range(99)]
    bad = f'{{"userId":"u","type":"track","properties":{{"odd":{odd}}}}}'

    response = send("/v1/batch", f'{{"batch":[{",".join([*good[:50], bad, *good[50:]])}]}}')

    assert answer(response) == (200, "ok")
    assert list(range(99)) == [json.loads(body)["n"] for body in [*kept[:50], *kept[51:]]]


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/v1/batch", b"", "request body is nil"),
        ("/v1/track", b"", "request body is nil"),
        ("/v1/batch", b"{", "invalid json"),
        ("/v1/batch", b'{"batch":[{"userId":"u","a":nan}]}', "invalid json"),
        ("/v1/batch", b"batch=1", "invalid json"),
        ("/v1/track", b'{"userId":"u"', "invalid json"),
        ("/v1/track", b'{"userId":"u"}{}', "invalid json"),
        ("/v1/batch", b"{}", "empty batch payload"),
        ("/v1/batch", b'{"batch":[]}', "empty batch payload"),
        ("/v1/batch", b'{"batch":null}', "empty batch payload"),
        ("/v1/batch", b'[{"userId":"u"}]', "empty batch payload"),
        ("/v1/batch", b'{"batch":[1]}', "event is not a valid rudder event"),
        ("/v1/batch", b'{"batch":[null]}', "event is not a valid rudder event"),
        ("/v1/batch", b'{"batch":"x"}', "event is not a valid rudder event"),
        ("/v1/track", b"[]", "event is not a valid rudder event"),
        ("/v1/track", b"null", "event is not a valid rudder event"),
        ("/v1/track", b"{}", "request neither has anonymousId nor userId"),
        ("/v1/alias", b'{"previousId":"p"}', "request neither has anonymousId nor userId"),
        ("/v1/batch", b'{"batch":[{}]}', "request neither has anonymousId nor userId"),
        ("/v1/batch", b'{"batch":{"userId":" "}}', "request neither has anonymousId nor userId"),
    ],
)
def test_a_body_that_cannot_be_taken_is_answered_in_rudder_servers_words(
    send: Sender, path: str, body: bytes, text: str
) -> None:
    """A 400 names what is wrong, so the sender does not try again."""
    response = send(path, body)

    assert (400, f"{text}\n") == answer(response)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers[NOSNIFF] == "nosniff"
    assert send.log.calls == []


def test_one_event_without_an_identifier_refuses_the_request(send: Sender) -> None:
    """What the gateway checks holds for all events of a request or for none."""
    response = send("/v1/batch", {"batch": [EVENT, {"type": "track"}, EVENT]})

    assert answer(response) == (400, "request neither has anonymousId nor userId\n")
    assert send.log.calls == []


@pytest.mark.parametrize("user", KEYS)
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("password", ["", "ignored", "a:b"])
def test_the_write_key_is_the_user_name(
    send: Sender, user: str, scheme: str, password: str
) -> None:
    """Any of the keys lets in; the password and the scheme's casing do not matter."""
    credentials = basic(f"{user}:{password}").replace("Basic", scheme)

    response = send("/v1/track", EVENT, {"Authorization": credentials}, user=None)

    assert answer(response) == (200, "ok")


@pytest.mark.parametrize(
    ("credentials", "text"),
    [
        (None, "failed to read writekey from header"),
        ("", "failed to read writekey from header"),
        ("Basic", "failed to read writekey from header"),
        ("Basic !!!", "failed to read writekey from header"),
        (basic("key-one"), "failed to read writekey from header"),
        (basic(":password"), "failed to read writekey from header"),
        (basic("key-one:").rstrip("="), "failed to read writekey from header"),
        ("Bearer key-one", "failed to read writekey from header"),
        ("key-one", "failed to read writekey from header"),
        (basic("key-on:"), "invalid write key"),
        (basic("key-one1:"), "invalid write key"),
        (basic("KEY-ONE:"), "invalid write key"),
        (basic("unknown:key-one"), "invalid write key"),
    ],
)
def test_without_a_valid_write_key_nothing_is_taken(
    send: Sender, credentials: str | None, text: str
) -> None:
    """The rules for the header are those of Go's `BasicAuth`: without its colon it is none."""
    headers = {} if credentials is None else {"Authorization": credentials}

    response = send("/v1/track", EVENT, headers, user=None)

    assert (401, f"{text}\n") == answer(response)
    assert response.headers[NOSNIFF] == "nosniff"
    assert send.log.calls == []


def test_the_write_key_is_checked_before_the_body(send: Sender) -> None:
    """Who is not let in learns nothing else."""
    assert send("/v1/batch", b"{", user="unknown").status_code == 401


def test_an_empty_write_key_lets_nobody_in() -> None:
    """A key that a configuration left blank is no open door."""
    send = Sender()
    send.app = create_gateway(send.log, Sources.of_keys([""]))

    assert send("/v1/track", EVENT, user="").status_code == 401


@pytest.mark.parametrize(
    "error",
    [LogUnavailableError("the disk of the event log is full"), LogFileError("it is damaged")],
)
def test_a_log_that_takes_nothing_is_answered_with_503(error: Exception) -> None:
    """The sender keeps the events and tries again, if it is damaged as well."""
    response = Sender(fails=error)("/v1/batch", {"batch": [EVENT]})

    assert answer(response) == (503, "Service Unavailable\n")
    assert response.headers[NOSNIFF] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("route", ["batch", *ROUTES])
def test_events_are_only_taken_by_post(send: Sender, method: str, route: str) -> None:
    """Another method is refused, and told which one is right."""
    response = send(f"/v1/{route}", method=method)

    assert answer(response) == (405, "")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/x", "/v1", "/v1/batch/", "/v1/Track", "/v2/batch", "/v1/x"])
def test_an_unknown_path_is_not_found(send: Sender, path: str) -> None:
    """Paths are exact: no slash is added, none is forgiven."""
    assert answer(send(path, EVENT)) == (404, "404 page not found\n")


def test_health_needs_no_key(send: Sender) -> None:
    """A load balancer may ask."""
    response = send("/health", method="GET", user=None)

    assert response.status_code == 200
    assert response.json()["server"] == "UP"


# -- how a body may be packed -------------------------------------------------------------------

PLAIN = json.dumps({"batch": [EVENT]}).encode()
PACKED = gzip.compress(PLAIN, mtime=0)
GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "body",
    [PACKED, gzip.compress(PLAIN[:9]) + gzip.compress(b"") + gzip.compress(PLAIN[9:])],
    ids=["one member", "several members"],
)
def test_a_gzipped_body_is_unpacked(send: Sender, body: bytes) -> None:
    """SDKs for servers pack what they send."""
    assert answer(send("/v1/batch", body, GZIP)) == (200, "ok")
    assert len(send.log.events) == 1


@pytest.mark.parametrize("encoding", ["GZIP", "deflate", "gzip, gzip", "br"])
def test_only_gzip_by_its_exact_name_is_unpacked(send: Sender, encoding: str) -> None:
    """Any other encoding is taken for none, as in rudder-server."""
    headers = {"Content-Encoding": encoding}

    assert answer(send("/v1/batch", PACKED, headers)) == (400, "invalid json\n")
    assert answer(send("/v1/batch", PLAIN, headers)) == (200, "ok")


@pytest.mark.parametrize(
    "body",
    [b"", PLAIN, PACKED[:-1], PACKED[:20], PACKED + b"x", PACKED + b"\0", PACKED[:-8] + bytes(8)],
    ids=["empty", "plain", "cut", "cut early", "garbage after", "padding after", "wrong checksum"],
)
def test_broken_gzip_is_answered_with_500(send: Sender, body: bytes) -> None:
    """The sender tries again: the bytes may have been broken on their way."""
    response = send("/v1/batch", body, GZIP)

    assert answer(response) == (500, "failed to read body from request\n")
    assert send.log.calls == []


def one_piece(body: bytes) -> Any:
    return body


def byte_by_byte(body: bytes) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    return pieces()


@pytest.mark.parametrize("arriving", [one_piece, byte_by_byte])
@pytest.mark.parametrize(
    ("packed", "headers"), [(PLAIN, {}), (PACKED, GZIP)], ids=["plain", "gzip"]
)
def test_the_size_of_a_body_is_that_of_the_unpacked_one(
    packed: bytes, headers: dict[str, str], arriving: Callable[[bytes], Any]
) -> None:
    """A body of exactly the limit is taken; one byte more is too large, however it arrives."""
    fits = Sender(max_body_bytes=len(PLAIN))
    too_large = Sender(max_body_bytes=len(PLAIN) - 1)

    assert answer(fits("/v1/batch", arriving(packed), headers)) == (200, "ok")
    refusal = too_large("/v1/batch", arriving(packed), headers)
    assert answer(refusal) == (413, "request size exceeds max limit\n")
    assert too_large.log.calls == []


def test_a_body_that_cannot_be_compressed_may_still_be_gzipped() -> None:
    """What gzip itself adds does not count."""
    stored = gzip.compress(PLAIN, compresslevel=0)

    assert len(stored) > len(PLAIN)
    send = Sender(max_body_bytes=len(PLAIN))
    assert answer(send("/v1/batch", stored, GZIP)) == (200, "ok")


def test_a_gzip_bomb_costs_no_memory() -> None:
    """128 MiB of blanks in 128 KiB are refused within a megabyte."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(b" " * 2**20) for _ in range(128)), packer.flush()])
    send = Sender(max_body_bytes=200_000)

    tracemalloc.start()
    try:
        response = send("/v1/batch", bomb, GZIP)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert answer(response) == (413, "request size exceeds max limit\n")
    assert peak < 2**20


def test_gzip_that_unpacks_to_nothing_is_bounded_too() -> None:
    """Empty members without end are too large, though there is never a byte in them."""
    send = Sender(max_body_bytes=1000)

    response = send("/v1/batch", gzip.compress(b"") * 1000, GZIP)

    assert answer(response) == (413, "request size exceeds max limit\n")


def test_a_body_that_breaks_off_is_not_taken(send: Sender) -> None:
    """What a sender could not send to its end is not kept, even if it reads like JSON."""
    messages = iter(
        [
            {"type": "http.request", "body": PLAIN, "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    answers: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def respond(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/batch",
        "query_string": b"",
        "headers": [(b"authorization", basic("key-one:").encode())],
    }
    asyncio.run(send.app(scope, receive, respond))

    assert answers[0]["status"] == 500
    assert send.log.calls == []


def test_a_defect_of_ours_is_answered_and_passed_on() -> None:
    """Who sent is told to send again, and who serves the app learns of the exception."""

    class Broken(Recorder):
        async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    send = Sender()
    app = create_gateway(Broken(), Sources.of_keys(KEYS))

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post("/v1/track", json=EVENT, auth=(KEYS[0], ""))

    assert answer(asyncio.run(run())) == (500, "Internal Server Error")
    send.app = app
    with pytest.raises(ZeroDivisionError):
        send("/v1/track", EVENT)


def test_below_another_apps_path_it_takes_the_same(send: Sender) -> None:
    """An app that mounts it passes on the whole path, and where it begins."""
    inner = send.app
    send.app = Starlette(routes=[Mount("/events", inner)])
    assert answer(send("/events/v1/track", EVENT)) == (200, "ok")
    assert answer(send("/events/v1/unknown", EVENT)) == (404, "404 page not found\n")
    assert [event["type"] for event in send.log.events] == ["track"]


# -- how much may come in -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import"])
@pytest.mark.parametrize("value", [b"1", b"NaN"], ids=["standard", "cut by its commas"])
def test_a_request_holds_no_more_events_than_the_setting_says(path: str, value: bytes) -> None:
    """As many are taken; one more refuses the request with 413, as it would every time."""
    send = Sender(max_events=3)

    def batch(events: int) -> bytes:
        return b'{"batch":[' + b",".join([b'{"userId":"u","n":' + value + b"}"] * events) + b"]}"

    assert answer(send(path, batch(4))) == (413, "request size exceeds max limit\n")
    assert send.log.calls == []
    assert answer(send(path, batch(3))) == (200, "ok")
    assert len(send.log.events) == 3


@pytest.mark.parametrize(
    "event",
    [
        b'{"userId":"u","text":"' + b"x" * 200_000 + b'"}',
        b'{"userId":"u","number":NaN,"text":"' + b"x" * 10_000 + b'"}',
        b",".join([b'{"userId":"u"}'] * 300),
        b'{"userId":"u","timestamp":null' + b"".join(b',"%x":1' % n for n in range(10_000)) + b"}",
    ],
    ids=["large", "cut by its commas", "many events", "many fields"],
)
def test_a_body_that_takes_a_while_holds_up_nobody(event: bytes) -> None:
    """While one is cut and completed, others are answered."""
    begun, go_on = threading.Event(), threading.Event()

    def new_id() -> str:
        begun.set()
        assert go_on.wait(timeout=PATIENCE)
        return "new"

    app = create_gateway(Recorder(), Sources.of_keys(KEYS), new_id=new_id)
    body = b'{"batch":[' + event + b"]}"

    async def run() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            sending = asyncio.create_task(
                client.post("/v1/batch", content=body, auth=(KEYS[0], ""))
            )
            assert await asyncio.to_thread(begun.wait, 20)
            small = await client.post("/v1/track", json=EVENT, auth=(KEYS[0], ""))
            healthy = await client.get("/health")
            go_on.set()
            return [small.status_code, healthy.status_code, (await sending).status_code]

    assert asyncio.run(run()) == [200, 200, 200]


def test_bodies_share_a_bounded_memory() -> None:
    """Who finds no room is told when to come again; small bodies need none; it is given back."""
    log = Recorder()
    app = create_gateway(log, Sources.of_keys(KEYS), max_bodies_bytes=2_000_000)
    large = b'{"batch":[' + json.dumps({"userId": "u", "x": "x" * 1_500_000}).encode() + b"]}"
    small = json.dumps({"userId": "u", "x": "x" * (FREE_BYTES - 500)}).encode()

    async def run() -> None:
        come, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield large[:-10]
            come.set()
            await go_on.wait()
            yield large[-10:]

        transport = httpx.ASGITransport(app)
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(
                transport=transport, base_url="http://gateway", auth=(KEYS[0], "")
            ) as client,
        ):
            first = asyncio.create_task(post_in_pieces(app, slowly()))
            await come.wait()
            second = await client.post("/v1/batch", content=large)
            assert (second.status_code, second.text) == (503, "Service Unavailable\n")
            assert int(second.headers["retry-after"]) > 0
            assert (await client.post("/v1/track", content=small)).status_code == 200
            go_on.set()
            assert await first == 200
            assert (await client.post("/v1/batch", content=large)).status_code == 200

    asyncio.run(run())
    assert len(log.events) == 3


async def post_in_pieces(app: Any, pieces: AsyncIterator[bytes]) -> int:
    """Post a batch as it comes; httpx's transport would read all of it first."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        piece = await anext(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    key = basic(f"{KEYS[0]}:").encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/batch",
        "query_string": b"",
        "headers": [(b"authorization", key)],
    }
    await app(scope, receive, send)
    return statuses[0]


def test_events_count_with_what_they_take_beside_their_bytes() -> None:
    """A body of many small events takes more memory than its bytes."""
    send = Sender(max_bodies_bytes=100_000)
    batch = b'{"batch":[' + b",".join([b'{"userId":"u"}'] * 5_000) + b"]}"

    assert len(batch) < 100_000
    assert send("/v1/batch", batch).status_code == 503
    assert send.log.calls == []


def test_what_is_no_address_is_not_copied_into_every_event(send: Sender) -> None:
    """A header of any length would be held, and written, once for each event."""
    batch = {"batch": [{"userId": "u"}] * 2}

    send("/v1/batch", batch, {"X-Forwarded-For": "1" * 10_000})
    assert {event["request_ip"] for event in send.log.events} == {"192.0.2.7"}


def test_a_pixels_event_is_no_larger_than_a_body() -> None:
    """A short path may name the far end of a list within a list within a list."""
    send = Sender(max_body_bytes=10_000)
    deep = "&".join(f"a{n}{'.99' * 30}=1" for n in range(10))

    seen = send(f"/pixel/v1/track?writeKey={KEYS[0]}&userId=u&event=E&{deep}", method="GET")
    assert seen.status_code == 200
    assert send.log.calls == []
