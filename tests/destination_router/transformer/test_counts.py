"""What the transformer says of events that it does not let through, and of jobs at the proxy.

Modules: `transformer/counts.py`, `transformer/exposition.py`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformer_process import Transformer
from waiting import until

from destination_router.contract.records import HttpRequest, Note
from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer
from destination_router.transformer.counts import Counts, log_summary

DOCUMENTED = Path(__file__).parents[3] / "docs" / "metrics.md"
TRACK = {"type": "track", "userId": "u", "event": "E"}
EVENTS: list[Any] = [
    TRACK,
    {**TRACK, "event": "E" * 2000},
    {"type": "track", "userId": "u"},
    {"type": "identify", "userId": "null"},
    {"type": "alias", "userId": "u", "previousId": "a"},
    None,
]
COUNTED = {
    'router_received_total{connection="heap"}': 6.0,
    'router_filtered_total{connection="heap"}': 1.0,
    'router_rejected_total{code="not_an_object",connection="heap"}': 1.0,
    'router_rejected_total{code="missing_event",connection="heap"}': 1.0,
    'router_rejected_total{code="unsafe_identity",connection="heap"}': 1.0,
    'router_notes_total{code="truncated",connection="heap"}': 1.0,
}


def jobs(events: list[Any], config: Any = None) -> list[dict[str, Any]]:
    destination = {"ID": "d1", "Config": {"appId": "11"} if config is None else config}
    return [
        {"message": event, "metadata": {"jobId": n, "destinationId": "d1"}}
        | {"destination": destination}
        for n, event in enumerate(events)
    ]


def shown(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    found = re.findall(r"^(router_\w+\{.*\}) (\S+)$", text, re.MULTILINE)
    return {name: float(count) for name, count in found}


@pytest.mark.parametrize("path", ["/v0/destinations/heap", "/routerTransform"])
def test_what_becomes_of_events_is_counted(serve: Callable[[Asgi], str], path: str) -> None:
    """By connection and code, whichever stage of rudder-server asks."""
    url = serve(create_transformer())
    asked: Any = jobs(EVENTS)
    httpx.post(url + path, json=asked if path[1] == "v" else {"input": asked, "destType": "heap"})
    assert shown(url) == COUNTED


def test_a_destination_that_cannot_be_used_is_counted(serve: Callable[[Asgi], str]) -> None:
    """Under the plugin's name, with whose fault it is."""
    url = serve(create_transformer())
    httpx.post(f"{url}/v0/destinations/heap", json=jobs([TRACK], config={"appId": "x"}))
    assert shown(url)['router_rejected_total{code="configuration",connection="heap"}'] == 1


def test_what_becomes_of_jobs_at_the_proxy_is_counted(
    serve: Callable[[Asgi], str], heap_url: str
) -> None:
    """Delivered, or refused by the status that rudder-server is told."""
    url = serve(create_transformer(origins={"*": heap_url}))
    for properties in ({}, []):
        body = {
            "endpoint": "https://heapanalytics.com/api/track",
            "body": {
                "JSON": {"app_id": "11", "event": "E", "identity": "u", "properties": properties}
            },
            "metadata": [{"jobId": 1, "destinationId": "d1"}],
            "destinationConfig": {"appId": "11"},
        }
        httpx.post(f"{url}/v1/destinations/heap/proxy", json=body)
    assert shown(url) == {
        'router_delivered_total{connection="heap"}': 1,
        'router_refused_total{connection="heap",status="400"}': 1,
    }


def test_the_log_sums_up_each_code_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each code of what happened since the last time; what is well has none."""
    counts = Counts()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            counts.add("rejected", "heap", "missing_event")
            counts.add("received", "heap")
        counts.add("refused", "heap", "400", 2)
        log_summary(counts)
        log_summary(counts)
        counts.add("rejected", "heap", "missing_event")
        log_summary(counts)
    lines = [
        (one.getMessage(), vars(one).get("code", vars(one).get("status")), vars(one)["count"])
        for one in caplog.records
    ]
    assert lines == [
        ("transformer_refused", "400", 2),
        ("transformer_rejected", "missing_event", 3),
        ("transformer_rejected", "missing_event", 1),
    ]


def test_a_codes_place_is_no_place_for_values() -> None:
    """A note's code is a label: one that does not look like one is told as `noted`."""
    counts = Counts()
    request = HttpRequest(url="https://v.example", notes=(Note("ada@example.com", "", ""),))
    counts.noted("heap", request.notes)
    for strange in (5, [], (5,), (Note(5, "", ""),), (Note([], "", ""),)):  # type: ignore[arg-type]
        counts.noted("heap", strange)
    assert dict(counts.total()) == {("notes", "heap", "noted"): 6}


def test_the_log_is_written_while_it_serves(
    serve: Callable[[Asgi], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to ask for it."""
    with caplog.at_level(logging.INFO):
        url = serve(create_transformer(summary_seconds=0.05))
        httpx.post(f"{url}/v0/destinations/heap", json=jobs(EVENTS))
        until(lambda: "transformer_rejected" in [one.getMessage() for one in caplog.records])


def test_several_processes_count_together(start: Callable[..., Transformer]) -> None:
    """Whichever is asked shows what all did."""
    running = start("--workers", "2")
    for _ in range(6):
        running.ask(TRACK)
    until(lambda: shown(running.url).get('router_received_total{connection="heap"}') == 6)


def test_what_is_shared_outlives_a_process(tmp_path: Path) -> None:
    """A counter that fell would look like a restart of all."""
    counts = Counts(tmp_path)
    counts.add("received", "heap", count=2)
    (tmp_path / "1.json").write_text(json.dumps([["received", "heap", "", 5]]))
    assert dict(counts.total()) == {("received", "heap", ""): 7}


def test_every_metric_is_documented(serve: Callable[[Asgi], str]) -> None:
    """docs/metrics.md names each metric of the transformer."""
    text = httpx.get(f"{serve(create_transformer())}/metrics").text
    names = set(re.findall(r"^# TYPE (router_\w+) ", text, re.MULTILINE))
    page = DOCUMENTED.read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- metrics: transformer -->(.*?)<!-- /metrics -->", page, re.DOTALL)
    documented = set(re.findall(r"^\| `(router_\w+)", table, re.MULTILINE))
    assert names == documented
