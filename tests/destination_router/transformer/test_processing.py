"""Events by themselves: what is written and counted of each, whatever its neighbours are."""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destination_router import BasicAuth, HttpRequest, Ignored, Note, Pairing, Reject
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations, find_destinations
from destination_router.transformer.processing import process
from destination_router.transformer.proxy_calls import ProxyCalls
from destination_router.transformer.rest import rest_output, uncarried
from destination_router.transformer.router_batches import batch_jobs

PLUGIN = """
from destination_router import hookimpl

ANSWERS = []

@hookimpl
def settings_schema():
    properties = {"key": {"type": "string"}}
    return {"type": "object", "additionalProperties": False, "properties": properties}

@hookimpl
def on_identify():
    return []

@hookimpl
def on_track(message):
    answer = ANSWERS[int(message.event)]
    if isinstance(answer, Exception):
        raise answer
    return answer
"""
DESTINATIONS: dict[str, Any] = {
    "d1": {"ID": "d1", "Config": {"key": "1"}},
    "d2": {"ID": "d2", "Config": {"key": "2"}},
    "of its event": {"ID": "d3", "Config": {"key": "{{ message.properties.key || 3 }}"}},
    "unfit": {"ID": "d4", "Config": {"key": 4}},
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Destinations, ModuleType]:
    """A destination, and the module where its answers stand."""
    folder: Path = tmp_path_factory.mktemp("plugin")
    (folder / "answering_destination.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        point = EntryPoint("answering", "answering_destination", "destination_router")
        found = find_destinations(found=[point])["answering"]
        return found, __import__("answering_destination")


def elsewhere(url: str) -> str:
    return url.replace("vendor", "stand-in")


NOTES = [Note("truncated", "event", "cut"), Note("ada@example.com", "", "")]
BODIES: list[dict[str, Any]] = [
    {"json": {"event": "Zoë \u2028 \x00"}},
    {"json": {"a": 1}},
    {"json": {}},
    {"json": [1, 2]},
    {"form": {"a": "1"}},
    {"content": b"<a/>", "content_type": "application/xml"},
    {"content": b"\xff", "content_type": "image/png"},
    {},
]
REQUESTS = st.builds(
    lambda body, more: HttpRequest(**body, **more),
    st.sampled_from([*BODIES[:2] * 8, *BODIES]),
    st.fixed_dictionaries(
        {"url": st.sampled_from(["https://vendor.example/1", "https://vendor.example/2"])},
        optional={
            "method": st.sampled_from(["POST", "PUT"]),
            "headers": st.sampled_from([{}, {"X-Key": "1"}]),
            "params": st.sampled_from([{}, {"q": "1"}, {"q": ("1", "2")}]),
            "auth": st.sampled_from([None, BasicAuth("user", "word")]),
            "notes": st.lists(st.sampled_from(NOTES), max_size=2).map(tuple),
        },
    ),
) | st.just(HttpRequest(url="https://vendor.example/1", json={"a": 1}, gzip=True))
ANSWERS = st.lists(REQUESTS, min_size=1, max_size=2) | st.sampled_from(
    [[], Ignored("not this one"), None, Reject("too_long", "cut it"), ValueError("broken")]
)
IDS = st.none() | st.sampled_from(["a", 'a "quoted" one', "Zoë\n\u2028\x1f.", "\\"])


def job(event: int, anonymous_id: str | None, destination: str) -> dict[str, Any]:
    message = {"type": "track", "messageId": "m", "userId": "u", "event": str(event)}
    if anonymous_id is not None:
        message["anonymousId"] = anonymous_id
    metadata = {"jobId": event, "destinationId": DESTINATIONS[destination]["ID"]}
    return {"message": message, "metadata": metadata, "destination": DESTINATIONS[destination]}


def written(destinations: Destinations, jobs: list[dict[str, Any]], counts: Counts) -> bytes:
    body = json.dumps(jobs, separators=(",", ":")).encode()
    return process("answering", destinations, body, elsewhere, counts)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS, min_size=1, max_size=3), IDS)
def test_each_output_is_what_its_request_says(
    plugin: tuple[Destinations, ModuleType], requests: list[HttpRequest], anonymous_id: str | None
) -> None:
    """A plain request is not encoded twice; byte for byte that makes no difference."""
    destinations, module = plugin
    module.ANSWERS[:] = [requests]
    found = written(destinations, [job(0, anonymous_id, "d1")], Counts())
    if uncarried(requests) is not None:
        assert b"not_for_rudderstack" in found
        return
    metadata = msgspec.Raw(b'{"jobId":0,"destinationId":"d1"}')
    expected = [
        {
            "output": rest_output(one, elsewhere(one.url), anonymous_id or ""),
            "metadata": metadata,
            "statusCode": 200,
        }
        for one in requests
    ]
    assert found == msgspec.json.encode(expected)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(ANSWERS, IDS, st.sampled_from(sorted(DESTINATIONS) * 2)), max_size=6))
def test_what_becomes_of_an_event_does_not_depend_on_its_neighbours(
    plugin: tuple[Destinations, ModuleType], events: list[tuple[Any, str | None, str]]
) -> None:
    """Neither what is written nor what is counted."""
    destinations, module = plugin
    module.ANSWERS[:] = [answer for answer, _, _ in events]
    jobs = [job(n, some_id, to) for n, (_, some_id, to) in enumerate(events)]
    counts, apart = Counts(), Counts()
    together = written(destinations, jobs, counts)
    alone = [written(destinations, [one], apart)[1:-1] for one in jobs]
    assert together == b"[%b]" % b",".join(alone)
    assert counts.total() == apart.total()
    received = [count for (what, _, _), count in counts.total().items() if what == "received"]
    assert sum(received) == len(jobs)


def test_notes_of_any_shape_are_counted_once(plugin: tuple[Destinations, ModuleType]) -> None:
    """A plugin may return anything in place of notes, and nobody else is hurt."""
    destinations, module = plugin
    request = HttpRequest(url="https://vendor.example", json={}, notes=(NOTES[0],))
    strange = msgspec.structs.replace(request)
    msgspec.structs.force_setattr(strange, "notes", 5)
    module.ANSWERS[:] = [[request], [strange], [request]]
    counts = Counts()
    found = written(destinations, [job(n, None, "d1") for n in range(3)], counts)
    assert [one["statusCode"] for one in json.loads(found)] == [200] * 3
    assert counts.total() == Counter(
        {
            ("received", "answering", ""): 3,
            ("notes", "answering", "truncated"): 2,
            ("notes", "answering", "noted"): 1,
        }
    )


class Text(str):
    """Text of a plugin's own type, as some template engines make."""

    __slots__ = ()


WHERE = "https://vendor.example/odd"
HALF = "\ud800"
TIED = Pairing(rule=HALF, key="k", value="v", limit=1)


@pytest.mark.parametrize("is_for_proxy", [False, True])
@pytest.mark.parametrize(
    ("answer", "is_sent"),
    [
        ([HttpRequest(url=Text(WHERE), method=Text("PUT"), json={})], True),
        ([HttpRequest(url=Text(WHERE), json={})], True),
        ([HttpRequest(url=WHERE, headers=MappingProxyType({"x": Text("1")}), json={})], True),
        ([HttpRequest(url=WHERE, params=MappingProxyType({"q": "1"}), json={})], True),
        ([HttpRequest(url=f"{WHERE}/{HALF}", json={})], False),
        ([HttpRequest(url=WHERE, params={"q": HALF}, json={})], False),
        ([HttpRequest(url=WHERE, auth=BasicAuth(HALF), json={})], False),
        ([HttpRequest(url=WHERE, content=b"a", content_type=HALF)], False),
        ([HttpRequest(url=WHERE, json={}, user_key=HALF)], None),
        ([HttpRequest(url=WHERE, json={}, pairings=(TIED,))] * 2, None),
        (Ignored(HALF), False),
        (Reject("too_long", HALF), False),
    ],
)
def test_what_no_encoder_writes_costs_the_neighbours_nothing(
    plugin: tuple[Destinations, ModuleType],
    answer: Any,
    *,
    is_sent: bool | None,
    is_for_proxy: bool,
) -> None:
    """A plugin's types of its own are written; halves of a character are that event's fault."""
    destinations, module = plugin
    plain = [HttpRequest(url="https://vendor.example/1", json={"a": 1})]
    module.ANSWERS[:] = [plain, answer, plain]
    jobs = [job(number, None, "d1") for number in range(3)]
    told = json.loads(written(destinations, jobs, Counts()))
    statuses = {one["metadata"]["jobId"]: one["statusCode"] for one in told}
    assert (statuses[0], statuses[1] == 200, statuses[2]) == (200, is_sent is not False, 200)
    calls = ProxyCalls()
    if is_for_proxy:
        calls.called("d1", for_each_job=True)
    body = json.dumps({"input": jobs}).encode()
    batches = json.loads(batch_jobs("answering", destinations, body, elsewhere, calls=calls))
    sent = [
        one["jobId"]
        for batch in batches["output"]
        if batch["statusCode"] == 200
        for one in batch["metadata"]
    ]
    assert sent == ([0, 1, 2] if is_sent else [0, 2])
