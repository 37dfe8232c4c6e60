"""Requests as rudder-server's post parameters."""

from typing import Any

import msgspec
import pytest

from destination_router import BasicAuth, HttpRequest
from destination_router.pipeline.answers import content
from destination_router.transformer.rest import (
    http_request,
    read_proxied,
    rest_output,
    uncarried,
    written_output,
)

URL = "https://vendor.example/v1"


@pytest.mark.parametrize(
    "fields",
    [
        {"json": {"event": "Zoë \u2028 \x00"}},
        {"json": {}},
        {"json": {"a": 1}, "method": "PUT"},
        {"json": {"a": 1}, "headers": {"X-Key": "1"}},
        {"json": {"a": 1}, "params": {"q": "1"}},
        {"json": {"a": 1}, "auth": BasicAuth("user", "word")},
        {"json": [1, 2]},
        {"form": {"a": "1"}},
        {"json": {"a": 1}, "gzip": True},
        {"form": {"a": "1"}, "gzip": True},
        {"content": b"<a/>", "content_type": "application/xml"},
        {},
    ],
)
@pytest.mark.parametrize("user_id", ["", 'a "quoted" one'])
def test_what_is_written_in_pieces_is_the_output(fields: dict[str, Any], user_id: str) -> None:
    """A plain request is not encoded twice; byte for byte that makes no difference."""
    request = HttpRequest(url=URL, **fields)
    pieces = written_output(request, content(request), "http://elsewhere", user_id)
    whole = msgspec.json.encode(rest_output(request, "http://elsewhere", user_id))
    assert b"".join(pieces) == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"json": {"a": "\u00e9"}, "gzip": True},
        {"json": [1, 2], "gzip": True},
        {"form": {"a b": "1&2", "c": ""}, "gzip": True},
        {"content": b'{"a":1}\n{"b":2}\n', "content_type": "application/x-ndjson"},
        {"content": b"<a/>", "content_type": "application/xml", "gzip": True},
        {"content": b"", "content_type": "text/plain"},
    ],
)
def test_a_body_comes_back_as_it_was_written(fields: dict[str, Any]) -> None:
    """rudder-server packs what stands under GZIP, and sends what stands under XML as it is."""
    request = HttpRequest(url=URL, **fields)
    output = msgspec.to_builtins(rest_output(request, URL))
    filled = {name for name, value in output["body"].items() if value}
    assert filled == {"GZIP" if request.gzip else "XML"}

    back = http_request(read_proxied(msgspec.json.encode(output)))

    assert msgspec.structs.replace(back, headers={}) == request
    assert "Content-Type" in back.headers


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"params": {"q": "1", "id": ("1", "2")}}, "params"),
        ({"content": b"\xff", "content_type": "a/b"}, "content"),
        ({"content": b"\xff", "content_type": "a/b", "gzip": True}, "content"),
    ],
)
def test_what_rudderstack_cannot_carry_is_refused_by_name(
    fields: dict[str, Any], path: str
) -> None:
    """It would send something else, and say that it was delivered."""
    plain = HttpRequest(url=URL, json={"a": 1}, params={"q": "1"})
    assert uncarried([plain]) is None
    refusal = uncarried([plain, HttpRequest(url=URL, **fields)])
    assert refusal is not None
    assert (refusal.code, refusal.path) == ("not_for_rudderstack", path)
    assert "RudderStack's output cannot" in refusal.detail
