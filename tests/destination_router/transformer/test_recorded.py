"""What a real rudder-server asked is answered as it was, and its tables told the truth.

Modules: `transformer/app.py`, `router_batches.py`, `proxy.py`, `carrying_out.py`, `sequences.py`.
The model of its router, by which `test_carrying_out.py` tries all that may happen, is held to it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from recorded_calls import VENDOR, WAYS, Scenario, Sent, scenarios
from rudder_router import Answer, Job, RudderRouter, is_over
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer

_PART = re.compile(r"m(\d[uea])_")


class Vendor:
    """Answers as it did, as long as it is asked what it was; else 599."""

    def __init__(self, expected: list[Sent]) -> None:
        self.left = deque(expected)
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        asked = (request.url.path, await request.json())
        if not self.left or asked != (self.left[0].path, self.left[0].body):
            return PlainTextResponse(f"unexpected: {asked}", 599)
        sent = self.left.popleft()
        return PlainTextResponse(sent.words, sent.status)


@pytest.mark.parametrize("way", WAYS)
def test_each_call_is_answered_as_it_was(way: str, serve: Callable[[Asgi], str]) -> None:
    """Byte for byte but for blanks, in one session: what it learns from a call, it knows then."""
    recorded = scenarios(way)
    carries_out = way != "off"  # else rudder-server itself sent
    vendor = Vendor([sent for one in recorded for sent in one.sent] if carries_out else [])
    url = serve(vendor.app)
    transformer = serve(create_transformer(origins={"*": url}))
    for scenario in recorded:
        for call in scenario.calls:
            content = json.dumps(call.body).replace(VENDOR, url)
            answer = httpx.post(transformer + call.path, content=content, headers=call.headers)
            told = json.loads(answer.text.replace(url, VENDOR))
            assert (answer.status_code, told) == (call.status, call.answer), scenario.name
    assert not vendor.left


@pytest.mark.parametrize("way", WAYS)
def test_the_model_of_the_server_does_as_the_server_did(way: Any) -> None:
    """Of the same answers it makes the same requests, and tells the jobs the same."""
    for scenario in scenarios(way):
        asyncio.run(_play(way, scenario))


async def _play(way: Any, scenario: Scenario) -> None:
    calls, sent = deque(scenario.calls), deque(scenario.sent)
    rows = [row for row in scenario.rows if row.state != "executing"]

    def transform(_: bytes) -> bytes:
        return json.dumps(asked.answer).encode()

    async def deliver(version: str, body: bytes) -> tuple[int, bytes]:
        call = calls.popleft()
        assert (f"/{version}/destinations/heap/proxy", json.loads(body)) == (call.path, call.body)
        return call.status, json.dumps(call.answer).encode()

    async def post(endpoint: str, body: Any) -> Answer:
        one = sent.popleft()
        assert (endpoint, body) == (VENDOR + one.path, one.body)
        return one.status, one.words

    router = RudderRouter(transform, deliver, post, way)
    while calls:
        asked = calls.popleft()
        (destination,) = asked.body["destinations"].values()
        router.config = destination["Config"]
        jobs = [
            Job(one["metadata"]["jobId"], one["metadata"]["userId"], one["message"])
            for one in asked.body["input"]
        ]
        for number, (status, _) in sorted((await router.process(jobs)).items()):
            row = next(one for one in rows if one.job == number)
            rows.remove(row)
            assert row.code == str(status) or (row.state == "waiting" and not is_over(status))
    assert not rows
    assert way != "off" or not sent


@pytest.mark.parametrize("way", WAYS)
def test_the_servers_own_table_tells_of_each_job_what_became_of_it(way: str) -> None:
    """Succeeded if the vendor has all that it caused, aborted if a part of its own was refused."""
    for scenario in scenarios(way):
        ended = {row.message_id: row.state for row in scenario.rows}
        taken = {part for one in scenario.sent if one.status == 200 for part in _parts(one.body)}
        parts = {part for call in scenario.calls for part in _parts(call.body.get("input", []))}
        assert len(ended) == 7
        assert parts == {"1u", "2u", "2e", "3e", "4e", "5a", "6u", "7e"}
        for message_id, state in ended.items():
            own = {part for part in parts if part[0] == message_id[1]}
            assert state == ("aborted" if own & set(scenario.refused) else "succeeded")
            assert state == "aborted" or own <= taken


def _parts(content: Any) -> set[str]:
    return set(_PART.findall(json.dumps(content)))
