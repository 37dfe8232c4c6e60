"""docs/rudderstack.md: every configuration in it works, also as a rudder-server would use it."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from destination_router.config.router_toml import load_config, parse_config
from destination_router.migration.translation import imported
from destination_router.service.connections import connect
from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer
from destination_router.transformer.overlays import ready_overlays
from destination_router.transformer.server import TransformerOptions, build_transformer

TEXT = (Path(__file__).parent.parent / "docs" / "rudderstack.md").read_text(encoding="utf-8")
EVENTS: list[dict[str, Any]] = [
    {"type": "identify", "userId": "ada", "context": {"traits": {"plan": "gold"}}},
    {"type": "track", "userId": "ada", "event": "Program Published"},
    {"type": "page", "userId": "ada", "name": "Notes"},
    {"type": "screen", "anonymousId": "a-1", "name": "Notes"},
    {"type": "group", "userId": "ada", "groupId": "engines", "traits": {"seats": 2}},
    {"type": "alias", "userId": "ada", "previousId": "a-1"},
]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def workspace() -> Any:
    (block,) = blocks("json")
    return json.loads(block)


def record(destination: dict[str, Any]) -> dict[str, Any]:
    """A destination as rudder-server hands it to a transformer."""
    definition = destination["destinationDefinition"]
    return {
        "ID": destination["id"],
        "Name": destination["name"],
        "DestinationDefinition": {
            "ID": definition["id"],
            "Name": definition["name"],
            "DisplayName": definition["displayName"],
            "Config": definition["config"],
        },
        "Config": destination["config"],
        "Enabled": destination["enabled"],
        "WorkspaceID": destination["workspaceId"],
        "Transformations": destination["transformations"],
        "IsProcessorEnabled": destination["isProcessorEnabled"],
        "RevisionID": destination["revisionId"],
    }


def test_a_router_of_ones_own_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first configuration is a whole one."""
    monkeypatch.setenv("WRITE_KEY", "wk1")
    config = parse_config(tomllib.loads(blocks("toml")[0]))
    assert config.gateway.write_keys == ("wk1",)
    assert [connect(connection).plugin.name for connection in config.connections] == ["heap"]


def test_a_transformers_connection_can_be_copied() -> None:
    """The second adds to the destination of the workspace configuration."""
    (overlay,) = ready_overlays(parse_config(tomllib.loads(blocks("toml")[1])).connections)
    (source,) = workspace()["sources"]
    assert overlay.name in {destination["id"] for destination in source["destinations"]}


def test_origins_alone_can_be_copied(tmp_path: Path) -> None:
    """The third has no connection; both of Heap's hosts go to the simulator."""
    path = tmp_path / "router.toml"
    path.write_text(blocks("toml")[2], encoding="utf-8")
    build_transformer(TransformerOptions(config=path))
    origins = load_config(path, may_be_empty=True).delivery.origins
    assert set(origins.values()) == {"http://127.0.0.1:9100"}
    assert len(origins) == 2


def test_the_workspace_configuration_reaches_heap(
    serve: Callable[[Asgi], str], heap_url: str
) -> None:
    """By the way that it chooses: jobs together through the router's stage, sent by the proxy."""
    url = serve(create_transformer(origins={"*": heap_url}))
    (source,) = workspace()["sources"]
    (destination,) = source["destinations"]
    definition = destination["destinationDefinition"]
    kind = definition["name"]
    features = httpx.get(f"{url}/features").json()
    assert definition["config"]["transformAtV1"] == "router"
    assert features["routerTransform"][kind] is features["supportTransformerProxyV1"] is True
    assert all(event["type"] in definition["config"]["supportedMessageTypes"] for event in EVENTS)

    metadata = [{"jobId": number, "destinationId": destination["id"]} for number in range(6)]
    jobs = [
        {"message": {"messageId": f"m-{n}", **event}, "metadata": metadata[n]}
        for n, event in enumerate(EVENTS)
    ]
    asked = {
        "input": [{**job, "destination": record(destination)} for job in jobs],
        "destType": kind.lower(),
    }
    answered: dict[int, int] = {}
    for batch in httpx.post(f"{url}/routerTransform", json=asked).json()["output"]:
        statuses = [batch["statusCode"]] * len(batch["metadata"])
        if batch["statusCode"] == 200:
            statuses = deliver(url, kind, batch, destination["config"])
        for job, status in zip(batch["metadata"], statuses, strict=True):
            assert job["jobId"] not in answered
            answered[job["jobId"]] = status

    assert answered == {0: 200, 1: 200, 2: 200, 3: 200, 4: 200, 5: 298}
    held = httpx.get(f"{heap_url}/_simulator/events").json()["events"]
    assert {row["app_id"] for row in held} == {destination["config"]["appId"]}
    assert {row["event"] for row in held} == {"Program Published", "Page viewed", "Screen viewed"}


def deliver(url: str, kind: str, batch: dict[str, Any], config: Any) -> list[int]:
    """Hand each request of a batch to the proxy; a job has the worst status of its requests."""
    requests = batch["batchedRequest"]
    worst = [200] * len(batch["metadata"])
    for request in requests if isinstance(requests, list) else [requests]:
        body = {**request, "metadata": batch["metadata"], "destinationConfig": config}
        answer = httpx.post(f"{url}/v1/destinations/{kind.lower()}/proxy", json=body).json()
        statuses = [job["statusCode"] for job in answer["output"]["response"]]
        worst = [max(pair) for pair in zip(worst, statuses, strict=True)]
    return worst


def test_the_workspace_configuration_can_be_imported() -> None:
    """Who leaves rudder-server takes it along: nothing in it is lost."""
    text, lost = imported("rudderstack", workspace())
    content = tomllib.loads(text)
    assert (content["gateway"]["write_keys"], lost) == (["wk1"], [])
    assert content["connections"][0]["settings"]["appId"] == "1234567890"
