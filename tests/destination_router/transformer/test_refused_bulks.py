"""From /routerTransform to the proxy: a bulk that Heap refuses costs only the job at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer

CONFIG = {"appId": "123"}


@pytest.fixture
def transformer(serve: Callable[[Asgi], str], heap_url: str) -> str:
    return serve(create_transformer(origins={"*": heap_url}))


def events(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "track", "messageId": f"message-{n}", "userId": f"u-{n % 3}", "event": f"E{n}"}
        for n in range(count)
    ]


def batches(transformer: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    jobs = [
        {
            "message": message,
            "metadata": {"jobId": number, "userId": "", "destinationId": "d1"},
            "destination": {"ID": "d1", "Config": CONFIG},
        }
        for number, message in enumerate(messages)
    ]
    answer = httpx.post(f"{transformer}/routerTransform", json={"input": jobs, "destType": "heap"})
    output: list[dict[str, Any]] = answer.json()["output"]
    return output


def deliver(transformer: str, request: dict[str, Any], metadata: Any) -> dict[int, Any]:
    body = {**request, "metadata": metadata, "destinationConfig": CONFIG}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=body)
    return {one["metadata"]["jobId"]: one for one in answer.json()["output"]["response"]}


def held(heap_url: str) -> set[str]:
    return {row["event"] for row in httpx.get(f"{heap_url}/_simulator/events").json()["events"]}


def test_every_job_is_in_exactly_one_answer(transformer: str) -> None:
    """Whatever becomes of a job, rudder-server finds it once; else it would fail them all."""
    messages: list[Any] = [
        *events(40),
        {"type": "identify", "userId": "u-1", "traits": {"a": 1}, "anonymousId": "a-1"},
        {"type": "track", "anonymousId": "a-1", "event": "Anonymous"},
        {"type": "track", "userId": "u-1", "event": "With", "context": {"traits": {"b": 1}}},
        {"type": "alias", "userId": "u-1", "previousId": "a-1"},
        *events(2),  # the same messages again
        {"type": "group", "userId": "u-1", "groupId": "g"},
        None,
        {"type": "identify", "userId": "null"},
    ]
    found = Counter(m["jobId"] for one in batches(transformer, messages) for m in one["metadata"])
    assert found == dict.fromkeys(range(len(messages)), 1)


def test_many_jobs_become_few_requests(transformer: str) -> None:
    """A hundred jobs of many users are one request for Heap."""
    (batch,) = batches(transformer, events(100))
    assert (batch["batched"], len(batch["metadata"])) == (True, 100)
    assert len(batch["batchedRequest"]["body"]["JSON"]["events"]) == 100


def test_answers_end_where_no_job_goes_on(transformer: str) -> None:
    """Jobs that share no request stand apart: one that fails does not hold the other back."""
    messages = [
        {"type": "identify", "userId": "u-1", "traits": {"a": 1}},
        {"type": "track", "userId": "u-2", "event": "E"},
    ]
    found = [[m["jobId"] for m in one["metadata"]] for one in batches(transformer, messages)]
    assert found == [[0], [1]]


def test_an_item_that_heap_names_is_the_only_one_refused(transformer: str, heap_url: str) -> None:
    """The job of the named item is told Heap's words; its neighbours are delivered."""
    (batch,) = batches(transformer, events(10))
    request = batch["batchedRequest"]
    request["body"]["JSON"]["events"][4]["properties"] = []

    statuses = deliver(transformer, request, batch["metadata"])

    refused = {job: one["error"] for job, one in statuses.items() if one["statusCode"] != 200}
    assert refused.keys() == {4}
    assert "properties should be object" in refused[4]
    assert statuses[4]["statusCode"] == 400
    assert held(heap_url) == {f"E{n}" for n in range(10) if n != 4}


def test_what_rudder_server_hands_on_is_enough(transformer: str, heap_url: str) -> None:
    """Of a job's metadata it keeps these fields: the blame still finds its job."""
    messages = events(4)
    messages[2]["timestamp"] = "2026-11-22T10:00:00.000Z"
    (batch,) = batches(transformer, messages)
    handed_on = {
        "type": "REST",
        "version": "1",
        "files": {},
        **{
            name: batch["batchedRequest"][name]
            for name in ("endpoint", "method", "userId", "headers", "params", "body")
        },
    }
    handed_on["body"]["JSON"]["events"][2]["timestamp"] = "never"
    metadata = [
        {
            "jobId": one["jobId"],
            "attemptNum": 1,
            "userId": "",
            "sourceId": "s1",
            "destinationId": one["destinationId"],
            "workspaceId": "ws1",
            "secret": None,
            "destInfo": one["destInfo"],
            "dontBatch": False,
        }
        for one in reversed(batch["metadata"])
    ]

    told = deliver(transformer, handed_on, metadata)

    assert {number: one["statusCode"] for number, one in told.items()} == {
        0: 200,
        1: 200,
        2: 400,
        3: 200,
    }
    assert {number: one["metadata"] for number, one in told.items()} == {
        one["jobId"]: one for one in metadata
    }
    assert held(heap_url) == {"E0", "E1", "E3"}


def test_an_item_that_nobody_names_is_found_by_halves(transformer: str, heap_url: str) -> None:
    """Where the refusal does not say which item it means, the bulk is cut until it stands alone."""
    fault = {"status": 400, "body": "no", "match": '"E7"'}
    httpx.post(f"{heap_url}/_simulator/faults", json=fault).raise_for_status()
    (batch,) = batches(transformer, events(10))

    statuses = deliver(transformer, batch["batchedRequest"], batch["metadata"])

    assert {job for job, one in statuses.items() if one["statusCode"] != 200} == {7}
    assert held(heap_url) == {f"E{n}" for n in range(10) if n != 7}


def test_a_bulk_that_may_succeed_later_is_not_cut(transformer: str, heap_url: str) -> None:
    """Trouble of the vendor's is no reason to send it more requests."""
    httpx.post(f"{heap_url}/_simulator/faults", json={"status": 503}).raise_for_status()
    (batch,) = batches(transformer, events(10))

    statuses = deliver(transformer, batch["batchedRequest"], batch["metadata"])

    assert {one["statusCode"] for one in statuses.values()} == {503}
    stats = httpx.get(f"{heap_url}/_simulator/stats").json()
    assert stats["requests"]["/api/track"] == {"503": 1}


def test_without_knowing_whose_items_they_are_all_jobs_share_the_answer(transformer: str) -> None:
    """Jobs whose metadata came back without our `destInfo` are refused together, never guessed."""
    (batch,) = batches(transformer, events(3))
    request = batch["batchedRequest"]
    request["body"]["JSON"]["events"][1]["properties"] = []
    bare = [{"jobId": m["jobId"]} for m in batch["metadata"]]
    statuses = deliver(transformer, request, bare)
    assert {one["statusCode"] for one in statuses.values()} == {400}


def test_metadata_comes_back_as_it_was_but_for_our_own_key(transformer: str) -> None:
    """What rudder-server wrote is echoed whole; `destInfo` is what it hands to the proxy."""
    (batch,) = batches(transformer, events(2))
    first, _ = batch["metadata"]
    endpoint = batch["batchedRequest"]["endpoint"]
    assert first.pop("destInfo") == {"items": {endpoint: [2, [0]]}}
    assert first == {"jobId": 0, "userId": "", "destinationId": "d1"}
