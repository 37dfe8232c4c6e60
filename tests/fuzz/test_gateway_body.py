"""Whatever is posted to the gateway has an answer, and what is accepted can be decided.

Modules: `gateway/app.py`, `request_body.py`, `enrichment.py`, `pipeline/wire.py`, `connection.py`.
"""

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Collection, Sequence
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nonsense import damaged, json_like

from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

EVENTS: list[dict[str, Any]] = [
    {"type": "track", "userId": "ada", "event": "Paid", "properties": {"a": {"b": [1, None]}}},
    {"type": "screen", "anonymousId": "anon-1", "event": "Home", "properties": {"name": "Home"}},
    {"type": "identify", "userId": 5, "context": {"traits": {"email": "a@b.c"}}, "traits": {}},
    {"type": "group", "userId": "ada", "groupId": "g", "traits": {"n": 1e300}},
    {"type": "alias", "userId": "ada", "previousId": "anon-1", "timestamp": "2026-11-22"},
    {"type": "page", "userId": "ada", "name": "", "integrations": {"All": True, "Heap": {}}},
]
NAMES = sorted({"batch", "messageId", "sentAt", *(name for event in EVENTS for name in event)})
KEY = {"Authorization": "Basic " + base64.b64encode(b"key:").decode()}
PATHS = [
    *(f"/v1/{name}" for name in ("batch", "import", "track", "identify", "screen", "alias")),
    "/beacon/v1/batch?writeKey=key",
    "/pixel/v1/page?writeKey=key&userId=u&name=",
]
STATUSES = {200, 204, 400, 401, 404, 405, 413, 500}
CONNECTIONS = [
    Connection("heap", load_plugin("heap"), {"appId": "11", "dialect": dialect})
    for dialect in ("heap", "segment", "segment-cloud", "rudderstack")
]
WHOLE = json.dumps({"batch": EVENTS, "sentAt": "2026-11-22T10:00:00Z"}).encode()

bodies = st.one_of(
    damaged(WHOLE),
    damaged(json.dumps(EVENTS[0]).encode()),
    st.binary(max_size=200),
    json_like(NAMES).map(lambda value: json.dumps(value).encode()),
    st.lists(json_like(NAMES), max_size=5).map(lambda v: json.dumps({"batch": v}).encode()),
)


class Kept:
    """An event log that only remembers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        assert source is not None
        self.bodies += bodies

    async def read(self, connection: str, after: int, limit: int) -> Any:
        raise NotImplementedError

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        raise NotImplementedError


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PATHS), bodies, st.sampled_from(["", "gzip", "deflate", "br"]), st.data())
def test_whatever_is_posted_is_answered_and_can_be_decided(
    path: str, body: bytes, encoding: str, data: st.DataObject
) -> None:
    """No body makes the gateway fail; each event that it keeps has a decision."""
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(body)
    sent = data.draw(st.sampled_from([packed, packed[:-5], packed + b"x", body]))
    headers = KEY | ({"Content-Encoding": encoding} if encoding else {})
    log = Kept()
    response = asyncio.run(_posted(log, path, sent, headers))
    assert response.status_code in STATUSES
    # As in rudder-server: a body that cannot be unpacked, and two users of an import at fault.
    assert response.status_code != 500 or "import" in path or "failed to read" in response.text
    for event in log.bodies:
        for connection in CONNECTIONS:
            decision = connection.decide(event)
            assert decision.result in {"requests", "rejected", "filtered"}
            assert decision.reject is None or decision.reject.code != "plugin_error", decision


async def _posted(log: Kept, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    app = create_gateway(log, Sources.of_keys(["key"]))
    transport = httpx.ASGITransport(app)
    method = "GET" if path.startswith("/pixel") else "POST"
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.request(method, path, content=body, headers=headers)
