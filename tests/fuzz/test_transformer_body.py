"""Whatever rudder-server, or somebody else, sends to the transformer has an answer.

Modules: `transformer/app.py`, `jobs.py`, `processing.py`, `router_batches.py`, `destinations.py`,
`dynamic_config.py`, `deletions.py`.
"""

import asyncio
import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nonsense import damaged, json_like

from destination_router.transformer.app import create_transformer

MESSAGE: dict[str, Any] = {
    "type": "track",
    "messageId": "m-1",
    "userId": "ada",
    "event": "Paid",
    "properties": {"a": 1},
}
CONFIG = {"appId": "{{ message.properties.a || 11 }}", "dataResidency": "us"}
DESTINATION = {
    "ID": "d-1",
    "Config": CONFIG,
    "DestinationDefinition": {"Name": "HEAP", "DisplayName": "Heap.io"},
    "hasDynamicConfig": True,
}
METADATA = {"jobId": 1, "userId": "ada", "messageId": "m-1", "destinationId": "d-1"}
JOBS = [{"message": MESSAGE, "metadata": METADATA, "destination": DESTINATION}] * 2
DELETION = [
    {"jobId": "1", "destType": "HEAP", "config": CONFIG, "userAttributes": [{"userId": "ada"}]}
]
ASKED = {
    "/v0/destinations/heap": JOBS,
    "/routertransform": {"input": JOBS, "destType": "heap"},
    "/deleteusers": DELETION,
}
NAMES = [*MESSAGE, *DESTINATION, *METADATA, "message", "metadata", "destination", "input"]
NAMES += ["destType", "userAttributes", "config", "libraries", "appId"]
APP = create_transformer()
STATUSES = {200, 400, 404, 405, 413, 415}


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(ASKED)), st.data())
def test_whatever_is_asked_is_answered(path: str, data: st.DataObject) -> None:
    """With a status that is in the protocol; a job that fails has one of its own."""
    whole = json.dumps(ASKED[path]).encode()
    value = json_like(NAMES)
    body = data.draw(
        st.one_of(
            damaged(whole),
            st.binary(max_size=200),
            value.map(lambda one: json.dumps(one).encode()),
            st.lists(
                st.fixed_dictionaries({"message": value, "destination": value}), max_size=3
            ).map(lambda jobs: json.dumps({"input": jobs, "destType": "heap"}).encode()),
            value.map(lambda one: json.dumps([{**JOBS[0], "message": one}]).encode()),
            value.map(
                lambda one: json.dumps(
                    [{**JOBS[0], "destination": {**DESTINATION, "Config": one}}]
                ).encode()
            ),
        )
    )
    response = asyncio.run(_posted(path, body))
    assert response.status_code in STATUSES, response.text
    assert "plugin_error" not in response.text
    if response.status_code == 200:
        response.json()


async def _posted(path: str, body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://transformer") as client:
        return await client.post(path, content=body)
