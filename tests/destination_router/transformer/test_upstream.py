"""A transformer behind ours: what is not ours passes through, and what happens while it is down."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import tomllib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from waiting import closed_port, until

from destination_router.config.router_toml import parse_config
from destination_router.plugins.loading import load_plugin
from destination_router.service.serving import Asgi
from destination_router.transformer import upstream
from destination_router.transformer.app import create_transformer
from destination_router.transformer.destinations import Destinations

Serve = Callable[[Asgi], str]
FEATURES = {
    "routerTransform": {"BRAZE": True},
    "regulations": ["BRAZE"],
    "supportSourceTransformV1": True,
    "upgradedToSourceTransformV2": False,
    "supportDestTransformCompactedPayloadV1": False,
    "newerThanUs": {"a": [1]},
}


class OtherTransformer:
    """An upstream that remembers what it was asked, and answers in a way of its own."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.broken = False
        self.has_told = False
        paths = Route("/{path:path}", self.take, methods=["GET", "POST", "DELETE"])
        self.app = Starlette(routes=[Route("/features", self.features), paths])

    async def features(self, _: Request) -> Response:
        answer = Response(status_code=500) if self.broken else JSONResponse(FEATURES)
        self.has_told = True
        return answer

    async def take(self, request: Request) -> Response:
        where = f"{request.url.path}?{request.url.query}"
        body = await request.body()
        self.asked.append((request.method, where, body, dict(request.headers)))
        packed = gzip.compress(b'[{"output":{},"metadata":{},"statusCode":200}]')
        headers = {"apiVersion": "2", "X-Own": "yes", "Content-Encoding": "gzip"}
        return Response(packed, 207, headers, "application/json")


@pytest.fixture
def other() -> OtherTransformer:
    return OtherTransformer()


@pytest.fixture
def ours(serve: Serve, other: OtherTransformer) -> str:
    return serve(create_transformer(upstream=serve(other.app) + "/"))


@pytest.fixture
def alone(serve: Serve) -> str:
    """One whose upstream does not answer."""
    return serve(create_transformer(upstream=f"http://127.0.0.1:{closed_port()}"))


def event(**message: Any) -> dict[str, Any]:
    return {
        "message": {"type": "track", "userId": "u-1", "event": "E"} | message,
        "metadata": {"jobId": 1},
        "destination": {"ID": "d1", "Config": {"appId": "123"}},
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v0/destinations/braze?x=%2F1", b'[{"message": {}}]'),
        ("POST", "/v1/destinations/braze/proxy?", b"{}"),
        ("POST", "/customTransform?", b"[1,  2]"),
        ("POST", "/v2/sources/shopify/hydrate?", b"\x00\xff"),
        ("GET", "/transformerBuildVersion?", b""),
        ("POST", "/routerTransform?", b'{"input": [], "destType":  "braze"}'),
        ("POST", "/deleteUsers?", b"[]"),
        ("POST", "/v0/destinations/BRAZE/?", b"[]"),
    ],
)
def test_what_is_not_ours_passes_through_unchanged(
    ours: str, other: OtherTransformer, method: str, path: str, body: bytes
) -> None:
    """Method, path, query, headers and body go there, and status, headers and body come back."""
    headers = {"Content-Type": "application/json", "X-Feature-Filter-Code": "?1"}
    answer = httpx.request(method, ours + path, content=body, headers=headers)

    ((asked_method, asked_path, asked_body, asked_headers),) = other.asked
    assert (asked_method, asked_path, asked_body) == (method, path, body)
    assert asked_headers["x-feature-filter-code"] == "?1"
    assert asked_headers["host"] != httpx.URL(ours).netloc.decode()
    assert answer.status_code == 207
    assert answer.json() == [{"output": {}, "metadata": {}, "statusCode": 200}]
    assert answer.headers["content-encoding"] == "gzip"
    assert (answer.headers["x-own"], answer.headers["apiversion"]) == ("yes", "2")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/routerTransform", b'{"input": [], "destType":  "braze"}'),
        ("/deleteUsers", b'[{"destType": "BRAZE"}]'),
        ("/customTransform", b"[1,  2]"),
    ],
)
def test_a_packed_request_reaches_the_upstream_readable(
    ours: str, other: OtherTransformer, path: str, body: bytes
) -> None:
    """Its headers and its body belong together, also where it was unpacked to see whose it is."""
    headers = {"Content-Encoding": "gzip"}
    answer = httpx.post(ours + path, content=gzip.compress(body), headers=headers)

    assert answer.status_code == 207
    ((_, _, asked_body, asked_headers),) = other.asked
    packed = asked_headers.get("content-encoding") == "gzip"
    assert (gzip.decompress(asked_body) if packed else asked_body) == body


def test_what_is_ours_never_reaches_the_upstream(ours: str, other: OtherTransformer) -> None:
    """Our own destinations are answered here, whatever the casing of their type."""
    answer = httpx.post(f"{ours}/v0/destinations/Heap", json=[event()])
    assert [item["statusCode"] for item in answer.json()] == [200]
    assert not other.asked


SPELLINGS = ["{}/", "/{}", "{}//", "/x/..{}", "/.{}", "{}/.", "{}%2F"]


@pytest.mark.parametrize("path", ["/v0/destinations/heap", "/routerTransform", "/deleteUsers"])
def test_no_spelling_of_a_path_takes_what_is_ours_upstream(
    ours: str, other: OtherTransformer, path: str
) -> None:
    """The other transformer reads these as the same path: it would be told of a masked user."""
    jobs: Any = [{"destType": "HEAP", **event()}]
    body = {"destType": "HEAP", "input": jobs} if path == "/routerTransform" else jobs
    address = httpx.URL(ours)
    for spelling in [path.upper(), *(spelling.format(path) for spelling in SPELLINGS)]:
        connection = http.client.HTTPConnection(address.host, address.port)  # httpx mends paths
        connection.request("POST", spelling, json.dumps(body))
        assert connection.getresponse().getheader("apiVersion") == "2"
        connection.close()
        assert not other.asked, spelling


def test_features_are_the_upstreams_with_ours_added(ours: str) -> None:
    """Nothing of the upstream's is lost, and nothing is offered in its name that it lacks."""
    found = httpx.get(f"{ours}/features").json()
    assert found.pop("routerTransform").items() >= {"BRAZE": True}.items()
    regulations = found.pop("regulations")
    assert regulations[: len(FEATURES["regulations"])] == FEATURES["regulations"]
    assert "HEAP" in regulations
    ours_alone = {"routerTransform", "regulations"}
    assert found == {name: item for name, item in FEATURES.items() if name not in ours_alone}


def test_features_hold_while_the_upstream_is_down(ours: str, other: OtherTransformer) -> None:
    """A moment's silence must not take features away, nor from a worker that was never asked."""
    until(lambda: other.has_told)
    other.broken = True
    until(lambda: "newerThanUs" in httpx.get(f"{ours}/features").json())


def test_without_ever_an_answer_the_features_are_what_everyone_understands(alone: str) -> None:
    """rudder-server starts, and sends nothing in a form that the upstream may not know."""
    found = httpx.get(f"{alone}/features")
    assert found.status_code == 200
    assert found.json()["upgradedToSourceTransformV2"] is True
    assert found.json()["supportDestTransformCompactedPayloadV1"] is False


def test_an_upstream_that_answers_byte_by_byte_does_not_hold_up_the_start(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole answer has a time, not each part of it: rudder-server does not start without."""
    monkeypatch.setattr(upstream, "_SOON", 0.2)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.05)
        yield b'{"late": true}'

    async def features(_: Request) -> Response:
        return StreamingResponse(drip())

    slow = Starlette(routes=[Route("/features", features)])
    found = httpx.get(f"{serve(create_transformer(upstream=serve(slow)))}/features")
    assert found.status_code == 200
    assert "late" not in found.json()


def test_an_upstream_that_is_down_is_waited_for(alone: str) -> None:
    """rudder-server retries for as long as it takes, where it would give up on a bare 503."""
    answer = httpx.post(f"{alone}/v0/destinations/braze", content=json.dumps([event()]))
    assert answer.status_code == 503
    assert answer.headers["x-rudder-should-retry"] == "true"


def test_our_own_work_goes_on_while_the_upstream_is_down(alone: str) -> None:
    """Our destinations need nobody else."""
    answer = httpx.post(f"{alone}/v0/destinations/heap", json=[event()])
    assert [item["statusCode"] for item in answer.json()] == [200]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v0/destinations/amplitude", []),
        ("/routerTransform", {"input": [], "destType": "amplitude"}),
        ("/routerTransform", {}),
    ],
)
def test_what_is_nobodys_is_not_found(serve: Serve, path: str, body: Any) -> None:
    """Without an upstream, what no installed destination takes gets a 404 or a 400."""
    answer = httpx.post(f"{serve(create_transformer())}{path}", json=body)
    assert answer.status_code in {400, 404}
    assert answer.headers["apiVersion"] == "2"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v0/destinations/heap"),
        ("PUT", "/v0/destinations/heap"),
        ("PATCH", "/routerTransform"),
        ("DELETE", "/deleteUsers"),
        ("PUT", "/v1/destinations/heap/proxy"),
        ("POST", "/v1/destinations/heap"),
        ("POST", "/v2/destinations/HEAP/proxyTest"),
    ],
)
def test_what_is_ours_by_its_path_is_so_by_every_method(
    ours: str, other: OtherTransformer, method: str, path: str
) -> None:
    """And in every version of it: an event in such a request is for a destination of ours."""
    answer = httpx.request(method, ours + path, content=json.dumps([event()]))
    assert (answer.status_code, answer.headers["apiversion"]) == (404, "2")
    assert not other.asked


def test_events_packed_for_the_upstream_by_ours_are_batched_there(
    ours: str, other: OtherTransformer
) -> None:
    """rudder-server calls `/batch` for Amplitude alone, with requests that were made before."""
    assert httpx.post(f"{ours}/batch", json={"destType": "am", "input": []}).status_code == 207
    assert [asked[1] for asked in other.asked] == ["/batch?"]


PRIVATE = '[[connections]]\nname = "d1"\nplugin = "heap"\n[connections.privacy]\nmode = "hipaa"\n'
DEFINITION = {"DestinationDefinition": {"Name": "HEAP"}}
COMPACTED = {"input": [{"message": {"userId": "ada"}}], "destinations": {"d1": DEFINITION}}


@pytest.fixture
def beside_hipaa(serve: Serve, other: OtherTransformer) -> str:
    (overlay,) = parse_config(tomllib.loads(PRIVATE), gateway=False).connections
    served = {"heap": Destinations(load_plugin("heap"), [overlay])}
    return serve(create_transformer(destinations=served, upstream=serve(other.app)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/batch", {"destType": "heap", "input": [{"message": {"userId": "ada"}}]}),
        ("/customTransform", [{"message": {"userId": "ada"}, "destination": DEFINITION}]),
        ("/customTransform", [{"message": {}, "metadata": {"destinationType": " HEAP "}}]),
        ("/customTransform", COMPACTED),
        ("/v0/destinations/braze", [{"destination": DEFINITION}]),
        ("/features", [{"destination": DEFINITION}]),
        ("/test-router/v0/heap", [{"message": {"userId": "ada"}}]),
        ("/anything", "{"),
        ("/anything", '{"a": ' + "[" * 100_000),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_beside_hipaa_mode_no_event_for_its_destination_goes_upstream(  # noqa: PLR0913 -- a table
    beside_hipaa: str, other: OtherTransformer, method: str, path: str, body: Any, *, packed: bool
) -> None:
    """By no path and no method, packed or not; what cannot be read may be one."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    content = gzip.compress(content) if packed else content
    answer = httpx.request(method, beside_hipaa + path, content=content, headers=headers)
    assert answer.status_code == 400
    assert "in HIPAA mode; nothing was passed on" in answer.text
    assert "ada" not in answer.text
    assert not other.asked


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v0/destinations/braze", [{"destination": {"DestinationDefinition": {"Name": "BRAZE"}}}]),
        ("/routerTransform", {"destType": "braze", "input": []}),
        ("/customTransform", [{"message": {"event": "heap"}, "metadata": {}}]),
        ("/transformerBuildVersion", None),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_beside_hipaa_mode_the_rest_goes_on(
    beside_hipaa: str, other: OtherTransformer, path: str, body: Any, *, packed: bool
) -> None:
    """Other destinations are as before, and get what was sent."""
    content = b"" if body is None else json.dumps(body).encode()
    packed = packed and body is not None
    headers = {"Content-Encoding": "gzip"} if packed else {}
    sent = gzip.compress(content) if packed else content
    answer = httpx.post(beside_hipaa + path, content=sent, headers=headers)
    assert answer.status_code == 207
    assert other.asked[0][2] == content
