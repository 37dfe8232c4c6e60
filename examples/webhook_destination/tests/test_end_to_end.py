"""A real router process, and a receiver that verifies with the standard library alone."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

SECRET = "correct-horse-battery-staple"
TOKEN = "a-token-that-nobody-may-read"
KEY = "a-key-that-nobody-may-read"
SIGNED = """
signature = {{ secret = {{ env = "HOOK_SECRET" }}{more} }}
"""
Open = Callable[..., Any]


def track(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": f"user-{number % 10}",
        "event": "Bücher gekauft",
        "properties": {"number": number},
        **fields,
    }


def is_signed(request: Any, algorithm: str = "sha256", header: str = "x-signature") -> bool:
    """Verify as a receiver does: over the bytes of the body, once unpacked."""
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    wanted = hmac.new(SECRET.encode(), body, getattr(hashlib, algorithm)).hexdigest()
    return hmac.compare_digest(wanted, request.headers.get(header, ""))


def ids(request: Any) -> list[str]:
    """Name the events of a body, whatever its form."""
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if request.headers["content-type"] == "application/x-ndjson":
        return [json.loads(line)["messageId"] for line in body.split(b"\n") if line]
    if request.headers["content-type"] == "application/x-www-form-urlencoded":
        return parse_qs(body.decode())["messageId"]
    found = json.loads(body)
    return [event["messageId"] for event in (found if isinstance(found, list) else [found])]


@pytest.mark.parametrize("form", ["json", "form"])
def test_an_event_is_signed_as_it_is_sent(receiver: Any, open_router: Open, form: str) -> None:
    """The signature is of the very bytes that come over the wire."""
    url = f'webhookUrl = "{receiver.url}/in?shop=1"\nbody = "{form}"'
    router = open_router(url + SIGNED.format(more=""), HOOK_SECRET=SECRET)
    router.send(track(1), track(2))
    router.until(lambda: len(receiver.requests) == 2)

    assert all(map(is_signed, receiver.requests))
    assert sorted(i for r in receiver.requests for i in ids(r)) == ["m-1", "m-2"]
    assert {r.path for r in receiver.requests} == {"/in?shop=1"}


@pytest.mark.parametrize(("form", "packed"), [("json", False), ("ndjson", False), ("json", True)])
def test_a_batch_is_signed_as_a_whole(
    receiver: Any, open_router: Open, form: str, *, packed: bool
) -> None:
    """What `pack` made is signed anew, before gzip, and no batch is larger than was agreed."""
    settings = f"""
webhookUrl = "{receiver.url}/in"
format = "segment"
body = "{form}"
gzip = {str(packed).lower()}
batch = {{ maxEvents = 8 }}
"""
    router = open_router(settings + SIGNED.format(more=""), HOOK_SECRET=SECRET)
    router.send(*map(track, range(50)))
    router.until(lambda: sum(len(ids(r)) for r in receiver.requests) >= 50)

    assert [r.method for r in receiver.requests if not is_signed(r, "sha1")] == []
    assert {r.headers.get("content-encoding") for r in receiver.requests} == {
        "gzip" if packed else None
    }
    sizes = [len(ids(r)) for r in receiver.requests]
    assert 1 < max(sizes) <= 8
    arrived = [i for r in receiver.requests for i in ids(r)]
    assert sorted(arrived) == sorted(f"m-{number}" for number in range(50))
    for user in range(10):
        assert [i for i in arrived if int(i[2:]) % 10 == user] == [
            f"m-{number}" for number in range(user, 50, 10)
        ]


def test_a_batch_that_is_taken_apart_is_signed_again(receiver: Any, open_router: Open) -> None:
    """The one bad event becomes a dead letter; every smaller batch is signed as what it holds."""
    receiver.answer = lambda r: (422, "number 13") if b'"number":13}' in r.body else (200, "")
    settings = f'webhookUrl = "{receiver.url}/in"\nbatch = {{ }}'
    router = open_router(settings + SIGNED.format(more=""), HOOK_SECRET=SECRET)
    router.send(*map(track, range(30)))
    taken: Callable[[], set[str]] = lambda: {  # noqa: E731 -- asked again and again
        i for r in list(receiver.requests) if b'"number":13}' not in r.body for i in ids(r)
    }
    router.until(lambda: len(taken()) == 29 and router.dead_letters())

    (letter,) = router.dead_letters()
    assert (letter["messageId"], letter["code"]) == ("m-13", "http_422")
    assert all(map(is_signed, receiver.requests))
    assert len(receiver.requests) > 2


def test_no_secret_is_told(receiver: Any, open_router: Open, tmp_path: Path) -> None:
    """Neither a log, nor a listing, nor a preview, nor a dead letter shows one."""
    receiver.answer = lambda _: (422, f"you sent {TOKEN} and {KEY}")
    settings = f"""
webhookUrl = "{receiver.url}/in"
bearerToken = {{ env = "HOOK_TOKEN" }}
headers = [{{ from = "x-key", to = {{ file = "key.txt" }} }}]
"""
    (tmp_path / "key.txt").write_text(KEY)
    router = open_router(settings + SIGNED.format(more=""), HOOK_SECRET=SECRET, HOOK_TOKEN=TOKEN)
    router.send(track(1))
    router.until(router.dead_letters)
    (router.directory / "messages.jsonl").write_text(json.dumps(track(2)) + "\n")

    sent = receiver.requests[0].headers
    assert (sent["x-key"], sent["authorization"]) == (KEY, f"Bearer {TOKEN}")
    assert is_signed(receiver.requests[0])
    told = [
        router.said.read_text(),
        router.told("dead-letters", "list", "--json", "--content"),
        router.told("dead-letters", "list"),
        router.told("check"),
        router.told("try", "--config", "router.toml", "messages.jsonl"),
    ]
    assert all(told)
    assert "***" in told[-1]
    secrets = (SECRET, TOKEN, KEY)
    assert [text for text in told for secret in secrets if secret in text] == []


def test_an_event_names_a_path_but_no_host(receiver: Any, open_router: Open) -> None:
    """What would go to a stranger becomes a dead letter, and nothing of it is sent."""
    router = open_router(f'webhookUrl = "{receiver.url}/in"')
    router.send(
        track(1, appendPath="/orders?shop=1&shop=2"),
        track(2, fullPath="http://localhost:9/in"),
        track(3, fullPath=receiver.url.replace("http://", "http://x@") + "/in"),
        track(4, fullPath="/other", header={"x-shop": "north"}),
    )
    router.until(lambda: len(receiver.requests) == 2 and len(router.dead_letters()) == 2)

    seen = {ids(r)[0]: r for r in receiver.requests}
    assert seen.keys() == {"m-1", "m-4"}
    assert parse_qs(urlsplit(seen["m-1"].path).query) == {"shop": ["1", "2"]}
    assert (seen["m-4"].path, seen["m-4"].headers["x-shop"]) == ("/other", "north")
    assert {letter["code"] for letter in router.dead_letters()} == {"foreign_url"}


def test_a_receiver_that_is_busy_is_asked_again(receiver: Any, open_router: Open) -> None:
    """By status: as most receivers mean it, and as the settings say."""
    answers = iter([(503, ""), (418, "")])
    receiver.answer = lambda _: next(answers, (200, ""))
    settings = f'webhookUrl = "{receiver.url}/in"\noutcomes = {{ retry = [418] }}'
    router = open_router(settings)
    router.send(track(1))
    router.until(lambda: len(receiver.requests) == 3)

    assert [ids(r) for r in receiver.requests] == [["m-1"]] * 3
    assert router.dead_letters() == []


def test_a_query_has_no_body(receiver: Any, open_router: Open) -> None:
    """A GET carries the properties, flattened."""
    router = open_router(f'webhookUrl = "{receiver.url}/in?key=a"\nwebhookMethod = "GET"')
    router.send(track(1, properties={"key": "b", "items": [{"sku": "x y"}]}))
    router.until(lambda: receiver.requests)

    (request,) = receiver.requests
    assert (request.method, request.body) == ("GET", b"")
    query = parse_qs(urlsplit(request.path).query)
    assert query == {"key": ["a", "b"], "items[0].sku": ["x y"]}
