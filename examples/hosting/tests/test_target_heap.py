"""target-heap, by the Singer SDK's own tests and by what Heap then holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import BIN
from singer_sdk.testing import get_target_test_class
from target_heap.target import TargetHeap

from heap_destination.simulator import create_simulator

CONFIG = {
    "heap": {"appId": "11"},
    "streams": {
        "orders": {
            "call": "track",
            "id": "customer",
            "event": "Order Completed",
            "timestamp": "at",
        },
        "customers": {"call": "identify", "id": "id"},
    },
}


@pytest.fixture(autouse=True)
def heap_for_the_standard_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's tests make the target in this process: its HTTP client asks a simulated Heap."""
    client = httpx.Client

    def simulated(**_: object) -> httpx.Client:
        return client(transport=Simulated())

    monkeypatch.setattr("target_heap.sink.httpx.Client", simulated)


class Simulated(httpx.BaseTransport):
    """A simulated Heap, without a socket."""

    def __init__(self) -> None:
        self._app = httpx.ASGITransport(create_simulator(rate_limits=False))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        import anyio  # noqa: PLC0415

        async def asked() -> httpx.Response:
            answer = await self._app.handle_async_request(request)
            content = b"".join([part async for part in answer.stream])
            return httpx.Response(answer.status_code, headers=answer.headers, content=content)

        return anyio.run(asked)


TestStandard = get_target_test_class(
    target_class=TargetHeap,
    config={
        "heap": {"appId": "11"},
        "streams": {"*": {"call": "track", "id": "id", "event": "Row Loaded"}},
    },
)


def piped(folder: Path, config: object, lines: list[object]) -> subprocess.CompletedProcess[str]:
    (folder / "config.json").write_text(json.dumps(config))
    return subprocess.run(
        [BIN / "target-heap", "--config", "config.json"],
        cwd=folder,
        input="\n".join(map(json.dumps, lines)) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )


def stream(name: str, *rows: dict[str, object]) -> list[object]:
    fields = {key: {"type": ["string", "number", "null"]} for row in rows for key in row}
    schema = {"type": "object", "properties": fields}
    head = {"type": "SCHEMA", "stream": name, "schema": schema, "key_properties": []}
    return [head, *({"type": "RECORD", "stream": name, "record": row} for row in rows)]


def test_streams_become_calls_by_configuration(
    tmp_path: Path, simulate: Callable[..., str]
) -> None:
    """Rows of one are events, those of the other are users; the state follows what Heap has."""
    heap = simulate("heap")
    time = "2026-11-22T10:00:00.000Z"
    lines = [
        *stream("orders", *({"customer": "ada", "at": time, "total": n} for n in range(3))),
        *stream("customers", {"id": "ada", "plan": "pro"}),
        {"type": "STATE", "value": {"orders": 3}},
    ]
    done = piped(tmp_path, {**CONFIG, "origin": heap}, lines)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"orders": 3}
    events = httpx.get(f"{heap}/_simulator/events").json()["events"]
    assert {(e["event"], e["identity"], e["timestamp"]) for e in events} == {
        ("Order Completed", "ada", time)
    }
    assert sorted(event["properties"]["total"] for event in events) == [0, 1, 2]
    (user,) = httpx.get(f"{heap}/_simulator/users").json()["users"]
    assert user["properties"]["plan"] == "pro"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({**CONFIG, "heap": {"appId": "x"}}, "appId"),
        ({**CONFIG, "streams": {}}, "stream 'orders' is not configured; add it to streams"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, config: object, words: str) -> None:
    """And no state is written."""
    done = piped(tmp_path, config, stream("orders", {"customer": "ada", "at": None, "total": 1}))
    assert done.returncode != 0
    assert words in done.stderr
    assert done.stdout == ""
