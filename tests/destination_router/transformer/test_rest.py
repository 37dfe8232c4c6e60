"""Requests as rudder-server's post parameters."""

from typing import Any

import msgspec
import pytest

from destination_router import BasicAuth, HttpRequest
from destination_router.pipeline.answers import content
from destination_router.transformer.rest import rest_output, written_output

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
