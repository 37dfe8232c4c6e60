"""From /routerTransform to the proxy: a bulk that Heap refuses costs only the job at fault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import HttpRequest
from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer
from destination_router.transformer.sequences import alone

CONFIG = {"appId": "123"}
WITH_TRAITS = {"type": "track", "userId": "u", "event": "E", "context": {"traits": {"a": 1}}}


@pytest.fixture
def fresh(serve: Callable[[Asgi], str], heap_url: str) -> str:
    """A transformer whose proxy was never called."""
    return serve(create_transformer(origins={"*": heap_url}))


@pytest.fixture
def transformer(fresh: str) -> str:
    """A transformer that knows of its proxy; by a call of which nothing is sent."""
    told = deliver(fresh, {"endpoint": "", "body": {"LATER": {}}}, [metadata_of(0)])
    assert told[0]["statusCode"] == 200
    return fresh


def metadata_of(number: int) -> dict[str, Any]:
    return {"jobId": number, "userId": "", "destinationId": "d1"}


def asked_for(messages: list[Any], destination: str = "d1", config: Any = None) -> Any:
    jobs = [
        {
            "message": message,
            "metadata": {**metadata_of(number), "destinationId": destination},
            "destination": {"ID": destination, "Config": CONFIG if config is None else config},
        }
        for number, message in enumerate(messages)
    ]
    return {"input": jobs, "destType": "heap"}


def spoilt(batch: dict[str, Any], at: int) -> dict[str, Any]:
    """The request of a batch, in which Heap will refuse what one job sends."""
    request: dict[str, Any] = batch["batchedRequest"]
    content = json.loads(request["body"]["SEQUENCE"])
    content["requests"][at]["json"]["properties"] = []
    return {**request, "body": {"SEQUENCE": json.dumps(content)}}


def events(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "track", "messageId": f"message-{n}", "userId": f"u-{n % 3}", "event": f"E{n}"}
        for n in range(count)
    ]


def batches(transformer: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{transformer}/routerTransform", json=asked_for(messages))
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


def test_many_jobs_become_few_requests(transformer: str, heap_url: str) -> None:
    """A hundred jobs of many users are one answer, and one request for Heap."""
    (batch,) = batches(transformer, events(100))
    assert (batch["batched"], len(batch["metadata"])) == (True, 100)
    told = deliver(transformer, batch["batchedRequest"], batch["metadata"])
    assert {one["statusCode"] for one in told.values()} == {200}
    stats = httpx.get(f"{heap_url}/_simulator/stats").json()
    assert stats["requests"]["/api/track"] == {"200": 1}


def test_what_only_the_proxy_can_carry_out_nobody_can_send(transformer: str) -> None:
    """rudder-server answers a body that is no object with a 500, and sends nothing."""
    (batch,) = batches(transformer, events(2))
    body = batch["batchedRequest"]["body"]
    assert [type(value) for value in body.values()] == [str]
    assert not batch["batchedRequest"]["endpoint"].startswith("http")


def test_until_the_proxy_is_called_each_job_stands_alone(fresh: str) -> None:
    """All jobs of an answer would get the status of whichever is refused."""
    found = batches(fresh, events(3))
    assert [[m["jobId"] for m in one["metadata"]] for one in found] == [[0], [1], [2]]
    assert {one["batched"] for one in found} == {False}


def test_another_destination_is_not_known_by_the_first(transformer: str) -> None:
    """rudder-server may send through the proxy for one, and by itself for another."""
    asked = asked_for(events(2), "d2")
    output = httpx.post(f"{transformer}/routerTransform", json=asked).json()["output"]
    assert [len(one["metadata"]) for one in output] == [1, 1]


@pytest.mark.parametrize("broken", [{}, {"jobId": None}, {"jobId": "x"}, {"jobId": 0}])
def test_jobs_that_cannot_be_told_apart_stand_alone(transformer: str, broken: Any) -> None:
    """Without an id of its own a job could be told what became of another."""
    asked = asked_for(events(2))
    asked["input"][1]["metadata"] = {"destinationId": "d1", **broken}
    output = httpx.post(f"{transformer}/routerTransform", json=asked).json()["output"]
    assert [len(one["metadata"]) for one in output] == [1, 1]


def test_an_item_that_heap_names_is_the_only_one_refused(transformer: str, heap_url: str) -> None:
    """The job of the named item is told Heap's words; its neighbours are delivered."""
    (batch,) = batches(transformer, events(10))

    statuses = deliver(transformer, spoilt(batch, 4), batch["metadata"])

    refused = {job: one["error"] for job, one in statuses.items() if one["statusCode"] != 200}
    assert refused.keys() == {4}
    assert "properties should be object" in refused[4]
    assert statuses[4]["statusCode"] == 400
    assert held(heap_url) == {f"E{n}" for n in range(10) if n != 4}


def test_what_rudder_server_hands_on_is_enough(transformer: str, heap_url: str) -> None:
    """Of a job's metadata it keeps these fields: the blame still finds its job."""
    (batch,) = batches(transformer, events(4))
    handed_on = {
        "type": "REST",
        "files": {},
        **{
            name: batch["batchedRequest"][name]
            for name in ("endpoint", "method", "userId", "headers", "params")
        },
        "body": spoilt(batch, 2)["body"],
    }
    metadata = [
        {
            "jobId": one["jobId"],
            "attemptNum": 1,
            "userId": "",
            "sourceId": "s1",
            "destinationId": one["destinationId"],
            "workspaceId": "ws1",
            "secret": None,
            "dontBatch": False,
        }
        for one in reversed(batch["metadata"])
    ]

    told = deliver(transformer, handed_on, metadata)

    statuses = {number: one["statusCode"] for number, one in told.items()}
    assert statuses == {0: 200, 1: 200, 2: 400, 3: 200}
    assert {number: one["metadata"] for number, one in told.items()} == {
        one["jobId"]: one for one in metadata
    }
    assert held(heap_url) == {"E0", "E1", "E3"}


@pytest.mark.parametrize("lost", ["a job", "the sequence", "the first requests"])
def test_what_is_not_whole_is_not_sent(transformer: str, heap_url: str, lost: str) -> None:
    """A part that is missing would be told as delivered; so all of it comes again."""
    (batch,) = batches(transformer, events(2))
    request, metadata = batch["batchedRequest"], batch["metadata"]
    if lost == "a job":
        metadata = metadata[:1]
    elif lost == "the sequence":
        request = {**request, "body": {"SEQUENCE": request["body"]["SEQUENCE"][:-9]}}
    else:
        (batch,) = batches(transformer, [WITH_TRAITS])
        request, metadata = batch["batchedRequest"][-1], [metadata_of(0)]
    told = deliver(transformer, request, metadata)
    assert {one["statusCode"] for one in told.values()} == {500}
    assert held(heap_url) == set()


def test_a_job_that_is_alone_is_sent_with_its_last_request(fresh: str, heap_url: str) -> None:
    """Its requests can be sent as they are; of the proxy, each is told what became of all."""
    (batch,) = batches(fresh, [WITH_TRAITS])
    first, last = batch["batchedRequest"]
    paths = [one["endpoint"].rpartition("/")[2] for one in (first, last)]
    assert paths == ["add_user_properties", "track"]
    assert [one["body"]["JSON"]["identity"] for one in (first, last)] == ["u", "u"]

    assert deliver(fresh, first, batch["metadata"])[0]["statusCode"] == 200
    assert httpx.get(f"{heap_url}/_simulator/stats").json()["requests"] == {}
    assert deliver(fresh, last, batch["metadata"])[0]["statusCode"] == 200
    assert held(heap_url) == {"E"}
    (user,) = httpx.get(f"{heap_url}/_simulator/users").json()["users"]
    assert user["properties"]["a"] == 1


@pytest.mark.parametrize("there", ['{"destInfo":{"x":1},"jobId":1}', '{"jobId":1}', "{}"])
def test_metadata_comes_back_with_what_was_there(there: str) -> None:
    """All but `destInfo`, which is what rudder-server hands to the proxy."""
    requests = [HttpRequest(url=f"https://vendor.example/{n}", json={}) for n in range(2)]
    _, metadata = alone(requests, msgspec.Raw(there.encode()), "", str)
    found = json.loads(bytes(metadata))
    assert [one["url"] for one in found.pop("destInfo")["earlier"]] == ["https://vendor.example/0"]
    assert found == {name: one for name, one in json.loads(there).items() if name != "destInfo"}


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


def test_of_a_request_that_is_not_ours_all_jobs_share_the_answer(fresh: str) -> None:
    """Nobody knows whose its parts are: they are refused together, never guessed."""
    (batch,) = batches(fresh, events(1))
    request = batch["batchedRequest"]
    request["body"]["JSON"]["properties"] = []
    statuses = deliver(fresh, request, [{"jobId": number} for number in range(3)])
    assert {one["statusCode"] for one in statuses.values()} == {400}


def test_in_the_first_version_several_jobs_are_not_sent_together(
    transformer: str, heap_url: str
) -> None:
    """It has one status for all of them: they come again, and one by one."""
    (batch,) = batches(transformer, events(2))
    handed_on = {"metadata": batch["metadata"][0], "destinationConfig": CONFIG}
    body = {**batch["batchedRequest"], **handed_on}
    answer = httpx.post(f"{transformer}/v0/destinations/heap/proxy", json=body)
    assert answer.status_code == 500
    assert held(heap_url) == set()
    assert len(batches(transformer, events(2))) == 2


def test_a_connections_settings_hold_at_the_proxy_too(
    serve: Callable[[Asgi], str], heap_url: str
) -> None:
    """A destination that only a router.toml makes whole is sent for as it was transformed."""
    overlay = ConnectionConfig(name="d1", plugin="heap", settings=CONFIG)
    url = serve(create_transformer(origins={"*": heap_url}, overlays=[overlay]))
    forms = []
    for _ in range(2):
        answer = httpx.post(f"{url}/routerTransform", json=asked_for(events(2), config={}))
        for batch in answer.json()["output"]:
            handed_on = {"metadata": batch["metadata"], "destinationConfig": {}}
            body = {**batch["batchedRequest"], **handed_on}
            told = httpx.post(f"{url}/v1/destinations/heap/proxy", json=body).json()["output"]
            forms.append((batch["batched"], {one["statusCode"] for one in told["response"]}))
    assert forms == [(False, {200}), (False, {200}), (True, {200})]
