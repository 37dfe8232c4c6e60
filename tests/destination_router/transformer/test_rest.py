"""Requests as rudder-server's post parameters."""

from typing import Any

import msgspec
import pytest

from destination_router import HttpRequest
from destination_router.transformer.rest import (
    http_request,
    read_proxied,
    rest_output,
    uncarried,
)

URL = "https://vendor.example/v1"


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
