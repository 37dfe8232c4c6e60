"""The delivery proxy, against a simulated Heap: each job gets its own status."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rough_server import Behave, RoughServer, drip, hang, says
from waiting import PATIENCE

from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer

CUT = says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
NONE = says(b"")
TRACK = {"app_id": "123", "event": "E", "identity": "u-1", "properties": {}}


@pytest.fixture
def transformer(serve: Callable[[Asgi], str], heap_url: str) -> str:
    return serve(create_transformer(origins={"*": heap_url}))


def parameters(body: Any, path: str = "/api/track") -> dict[str, Any]:
    return {
        "version": "1",
        "type": "REST",
        "method": "POST",
        "endpoint": f"https://heapanalytics.com{path}",
        "userId": "",
        "headers": {"Content-Type": "application/json"},
        "params": {},
        "body": {"JSON": body, "JSON_ARRAY": {}, "XML": {}, "FORM": {}},
        "files": {},
        "destinationConfig": {"appId": "123", "dataResidency": "us", "whitelistedEvents": []},
    }


def job(number: int, **more: Any) -> dict[str, Any]:
    return {
        "jobId": number,
        "attemptNum": 0,
        "userId": "",
        "sourceId": "s1",
        "destinationId": "d1",
        "workspaceId": "ws1",
        "secret": None,
        "dontBatch": False,
        **more,
    }


def fail(heap_url: str, **fault: Any) -> None:
    httpx.post(f"{heap_url}/_simulator/faults", json=fault).raise_for_status()


def held(heap_url: str) -> list[str]:
    return [row["event"] for row in httpx.get(f"{heap_url}/_simulator/events").json()["events"]]


def test_the_first_version_answers_with_the_jobs_status(transformer: str, heap_url: str) -> None:
    """One job: the HTTP status is its status."""
    body = parameters(TRACK) | {"metadata": job(1)}
    answer = httpx.post(f"{transformer}/v0/destinations/heap/proxy", json=body)

    assert answer.status_code == 200
    assert answer.headers["apiVersion"] == "2"
    output = answer.json()["output"]
    assert (output["status"], output["message"]) == (200, "1 of 1 delivered")
    assert held(heap_url) == ["E"]


def test_the_first_version_says_what_the_vendor_said(transformer: str) -> None:
    """A refusal is aborted with the vendor's words."""
    body = parameters({**TRACK, "properties": []}) | {"metadata": job(1)}
    answer = httpx.post(f"{transformer}/v0/destinations/HEAP/proxy", json=body)

    assert answer.status_code == 400
    output = answer.json()["output"]
    assert output["status"] == 400
    assert "properties should be object" in output["destinationResponse"]["response"]
    assert output["statTags"] == {
        "destType": "HEAP",
        "module": "destination",
        "implementation": "native",
        "feature": "dataDelivery",
        "errorCategory": "network",
        "errorType": "aborted",
        "destinationId": "d1",
        "workspaceId": "ws1",
    }


def test_a_vendor_that_was_never_reached_may_not_be_there(transformer: str, heap_url: str) -> None:
    """Its 404 says nothing of a message yet: rudder-server is to try again."""
    fail(heap_url, status=404, next=1)
    request = parameters(TRACK) | {"metadata": [job(1)]}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=request)
    assert [item["statusCode"] for item in answer.json()["output"]["response"]] == [429]


def test_in_the_first_version_a_vendors_404_is_no_missing_route(
    transformer: str, heap_url: str
) -> None:
    """rudder-server takes an HTTP 404 for a transformer without a proxy, and retries for ever.

    A vendor that has taken something before means the message by it.
    """
    first = parameters(TRACK) | {"metadata": job(1)}
    taken = httpx.post(f"{transformer}/v0/destinations/heap/proxy", json=first)
    assert taken.status_code == 200
    fail(heap_url, status=404, next=2)
    answer = httpx.post(f"{transformer}/v0/destinations/heap/proxy", json=first)
    assert (answer.status_code, answer.json()["output"]["status"]) == (400, 400)
    assert answer.json()["output"]["destinationResponse"]["status"] == 404

    second = parameters(TRACK) | {"metadata": [job(1)]}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=second)
    assert answer.status_code == 200
    assert [item["statusCode"] for item in answer.json()["output"]["response"]] == [404]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_succeed_later_keeps_its_status(
    transformer: str, heap_url: str, status: int
) -> None:
    """rudder-server retries by the status, so a request is sent once and its status told."""
    fail(heap_url, status=status, next=1)
    body = parameters(TRACK) | {"metadata": [job(1)]}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=body)

    assert answer.status_code == 200
    output = answer.json()["output"]
    assert [item["statusCode"] for item in output["response"]] == [status]
    assert output["statTags"]["errorType"] == ("throttled" if status == 429 else "retryable")
    assert held(heap_url) == []


def test_the_second_version_answers_for_each_job_with_its_metadata(transformer: str) -> None:
    """Every job of a request gets a status, under the metadata that came with it."""
    jobs = [job(2**53 + 1), job(7, secret={"token": "t"})]
    bulk = {"app_id": "123", "events": [{"event": "E", "identity": "u", "properties": {}}] * 2}
    body = parameters(bulk) | {"metadata": jobs}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=body)

    assert answer.json() == {
        "output": {
            "status": 200,
            "message": "2 of 2 delivered",
            "response": [{"statusCode": 200, "error": "200 {}", "metadata": one} for one in jobs],
        }
    }


@pytest.mark.parametrize("config", [{"appId": "x"}, {}, [], None])
def test_a_configuration_that_cannot_be_used_aborts_the_job(transformer: str, config: Any) -> None:
    """Nothing is sent for it, and the answer says why."""
    body = parameters(TRACK) | {"metadata": [job(1)], "destinationConfig": config}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=body)
    (status,) = answer.json()["output"]["response"]
    assert (status["statusCode"], status["error"].startswith("Config")) == (400, True)


def test_a_vendor_that_does_not_answer_in_time_is_a_timeout(
    transformer: str, heap_url: str
) -> None:
    """rudder-server's own patience, which it names, is not overrun."""
    fail(heap_url, delay=2)
    body = parameters(TRACK) | {"metadata": [job(1)]}
    answer = httpx.post(
        f"{transformer}/v1/destinations/heap/proxy", json=body, headers={"RdProxy-Timeout": "50"}
    )
    (status,) = answer.json()["output"]["response"]
    assert status["statusCode"] == 504


@pytest.mark.parametrize(("behave", "status"), [(hang, 504), (drip, 504), (CUT, 200), (NONE, 500)])
def test_a_vendor_whose_answer_is_none_costs_its_job_alone(
    serve: Callable[[Asgi], str], behave: Behave, status: int
) -> None:
    """rudder-server hears in the time that it gave; of what is cut short, the status decides."""
    vendor = RoughServer(behave)
    transformer = serve(create_transformer(origins={"*": vendor.url}))
    body = parameters(TRACK) | {"metadata": [job(1)]}
    answer = httpx.post(
        f"{transformer}/v1/destinations/heap/proxy", json=body, headers={"RdProxy-Timeout": "300"}
    )
    (found,) = answer.json()["output"]["response"]
    assert (answer.status_code, found["statusCode"]) == (200, status)
    vendor.close()


def test_a_vendor_that_hangs_keeps_no_other_waiting(
    serve: Callable[[Asgi], str], heap_url: str
) -> None:
    """However many of its requests are under way: each has a connection of its own."""
    vendor = RoughServer(hang)
    elsewhere = {"https://heapanalytics.com": vendor.url, "https://c.eu.heap-api.com": heap_url}
    transformer = httpx.URL(serve(create_transformer(origins=elsewhere)))
    content = json.dumps(parameters(TRACK) | {"metadata": [job(1)]})
    head = f"POST /v1/destinations/heap/proxy HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}"
    address = (transformer.host, transformer.port or 0)
    waiting = [socket.create_connection(address) for _ in range(120)]
    for one in waiting:
        one.sendall(f"{head}\r\n\r\n{content}".encode())
    for _ in waiting:
        assert vendor.asked.acquire(timeout=PATIENCE)
    other = parameters(TRACK) | {
        "endpoint": "https://c.eu.heap-api.com/api/track",
        "metadata": [job(2)],
    }
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=other)
    assert answer.json()["output"]["status"] == 200
    for one in waiting:
        one.close()
    vendor.close()


@pytest.mark.parametrize("patience", ["9" * 400, "9" * 5000, "-1", "soon", "1e3"])
def test_a_patience_that_is_none_is_the_usual_one(transformer: str, patience: str) -> None:
    """A header that names no time costs no job."""
    body = parameters(TRACK) | {"metadata": [job(1)]}
    headers = {"RdProxy-Timeout": patience}
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", json=body, headers=headers)
    (status,) = answer.json()["output"]["response"]
    assert status["statusCode"] == 200


@pytest.mark.parametrize("text", ["", "[]", "{", '{"endpoint": 5}'])
def test_what_is_no_request_for_the_proxy_is_refused(transformer: str, text: str) -> None:
    """A 4xx that is not 404: rudder-server would retry a 404 for ever."""
    answer = httpx.post(f"{transformer}/v1/destinations/heap/proxy", content=text)
    assert answer.status_code == 400


def test_other_bodies_and_credentials_are_sent_as_they_are(
    serve: Callable[[Asgi], str], recorder_url: str
) -> None:
    """A form and a JSON array arrive as such."""
    transformer = serve(create_transformer(origins={"*": recorder_url}))
    form, array = parameters({}), parameters({})
    form["body"] = {"JSON": {}, "FORM": {"a": "1", "n": 2}}
    array["body"] = {"JSON_ARRAY": {"batch": json.dumps([1, {"a": 2}])}}
    for body in (form, array):
        answer = httpx.post(
            f"{transformer}/v1/destinations/heap/proxy", json=body | {"metadata": [job(1)]}
        )
        assert answer.json()["output"]["status"] == 200
    kept = httpx.get(f"{recorder_url}/_simulator/requests").json()["requests"]
    assert [request["body"] for request in kept] == ["a=1&n=2", [1, {"a": 2}]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 403, 407])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_key_that_is_refused_is_no_fault_of_the_jobs(
    transformer: str, heap_url: str, version: str, status: int
) -> None:
    """rudder-server repeats a 429 as long as it keeps jobs; a 500 it gives up, a 401 at once."""
    fail(heap_url, status=status, body="who are you?", next=1)
    metadata: Any = job(1) if version == "v0" else [job(1)]
    body = parameters(TRACK) | {"metadata": metadata}
    answer = httpx.post(f"{transformer}/{version}/destinations/heap/proxy", json=body)

    output = answer.json()["output"]
    assert output["status"] == 429
    if version == "v0":
        assert answer.status_code == 429
        words = output["destinationResponse"]["response"]
    else:
        (told,) = output["response"]
        words = told["error"]
        assert told["statusCode"] == 429
    assert words.startswith(f"held: http_{status}")
    assert httpx.get(f"{heap_url}/_simulator/stats").json()["requests"] == {
        "/api/track": {str(status): 1}
    }
