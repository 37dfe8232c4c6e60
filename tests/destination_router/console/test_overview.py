"""The first page: what connections took, what became of it, and how they stand.

Modules: `console/rendering.py`, `console/desk.py`, `console/charts.py`, `console/percentiles.py`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
import xml.etree.ElementTree as ET

import msgspec
import pytest
from console_served import VIEWER, Served

from destination_router.console.charts import bars, line
from destination_router.console.overview import pill_of
from destination_router.console.percentiles import percentile
from destination_router.console.rendering import lasting, moment, pretty
from destination_router.delivery.stats import LATENCY_BOUNDS
from destination_router.eventlog.interface import Held, Order
from destination_router.eventlog.trace import ConnectionState, Rollup


def test_it_shows_what_was_counted(console: Served) -> None:
    """Sums, how long requests took, and the same numbers in a table."""
    latency = [0] * (len(LATENCY_BOUNDS) + 1)
    latency[3] = 100
    counted = Rollup(received=1200, delivered=1000, filtered=150, rejected=50, latency=latency)
    counted.codes = {"http_400": 50}
    now = time.time()
    console.traces.put(
        [], {("connection", "heap"): counted, ("source", "web"): Rollup(received=7)}, {}, now
    )
    text = console.client().get("/").text
    for words in ("<b>1,200</b>", "<b>1,000</b>", "<b>150</b>", "<b>50</b>", "http_400", "38 ms"):
        assert words in text
    assert 'class="number">1,200<' in text
    assert "7 events" in text
    assert "<b>1,200</b>" in console.client(VIEWER).get("/?period=week").text
    assert "<b>1,200</b>" in console.client().get("/?period=nonsense").text


def test_before_anything_was_counted_no_zeroes_stand_there(console: Served) -> None:
    """A worker that has said how it stands has counted none; one that has not may have."""
    client = console.client()
    text = client.get("/").text
    assert "Counting…" in text
    assert "<b>0</b>" not in text
    console.traces.put([], {}, {"heap": ConnectionState(at=time.time())}, time.time())
    text = client.get("/").text
    assert "Counting…" not in text
    assert "<b>0</b>" in text


def test_pausing_is_said_to_the_router_and_written_down(
    console: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """By whom: in the log of the process, and for the console to show."""
    client = console.client(name="ada")
    caplog.set_level("INFO")
    assert client.post("/pause", data={"connection": "heap"}).status_code == 303
    assert "paused" in client.get("/").text
    with sqlite3.connect(console.log_path) as database:
        assert database.execute("SELECT connection, paused FROM orders").fetchall() == [("heap", 1)]
    database.close()
    assert client.post("/resume", data={"connection": "heap"}).status_code == 303
    assert client.post("/pause", data={"connection": "other"}).status_code == 404
    (resumed, paused) = console.traces.actions(10)
    assert (paused.who, paused.what, paused.subject) == ("operator ada", "pause", "heap")
    assert resumed.what == "resume"
    told = [vars(record) for record in caplog.records if record.msg == "console_action"]
    assert [(line["who"], line["action"], line["count"]) for line in told] == [
        ("operator ada", "pause", 1),
        ("operator ada", "resume", 1),
    ]


def test_without_a_log_it_says_so(console: Served) -> None:
    """It was moved away, or the router has not made it yet."""
    console.log_path.unlink()
    answer = console.client().get("/")
    assert answer.status_code == 200
    assert "there is no event log" in answer.text
    assert console.client().post("/pause", data={"connection": "heap"}).status_code == 503


def test_how_a_connection_stands_is_said_in_a_word() -> None:
    """What a person said comes first, then the vendor, then the worker."""
    state = ConnectionState(at=100.0)
    held, paused = Held("http_401", 90.0), Order(paused=True, at=90.0)
    went_on = Order(paused=False, at=95.0)
    assert pill_of(state, paused, held, 101.0).word == "paused"
    assert pill_of(state, went_on, held, 101.0).word == "held: http_401"
    assert pill_of(None, None, None, 101.0).word == "not seen yet"
    assert pill_of(state, None, None, 200.0).word == "no worker"
    open_ = ConnectionState(at=100.0, circuit="open", last_failure="refused")
    assert pill_of(open_, None, None, 101.0).detail == "refused"
    some = ConnectionState(at=100.0, holds=("http_402",))
    assert pill_of(some, None, None, 101.0).word == "holds some: http_402"
    silent = msgspec.structs.replace(some, holds=("http_402", "plugin_unavailable"))
    assert pill_of(silent, None, None, 101.0).word == "held: plugin_unavailable"
    assert pill_of(state, None, None, 101.0).word == "sending"


def test_percentiles_lie_in_the_bucket_that_they_belong_to() -> None:
    """Of no request there is none; of the slowest, what is beyond the last bound counts."""
    counts = [0] * (len(LATENCY_BOUNDS) + 1)
    assert percentile(counts, 0.5) is None
    counts[0] = counts[5] = 50
    low, high = percentile(counts, 0.5), percentile(counts, 0.95)
    assert low == LATENCY_BOUNDS[0]
    assert high is not None
    assert LATENCY_BOUNDS[4] < high <= LATENCY_BOUNDS[5]
    counts[-1] = 1000
    beyond = percentile(counts, 0.95)
    assert beyond is not None
    assert beyond > LATENCY_BOUNDS[-1]


def test_plots_are_well_formed_and_stay_within_their_frame() -> None:
    """Whatever the numbers, and with names that are no names."""
    for drawn in (
        bars([("a<", [0, 3, 1]), ("b", [0, 0, 9])], "<title>"),
        bars([], "nothing"),
        bars([("a", [0, 0])], "nothing"),
        line([("p50", [None, 0.5, None, 2.0, 1.0]), ("p95", [None] * 5)], "<title>"),
    ):
        svg = ET.fromstring(str(drawn))
        for rect in svg.iter("rect"):
            assert 0 <= float(rect.attrib["y"]) <= 120
            assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= 120.2
        for path in svg.iter("path"):
            assert re.fullmatch(r"([ML][\d.]+ [\d.]+ ?)+", path.attrib["d"])


def test_times_and_documents_are_told_for_people() -> None:
    """And what is no JSON is shown as it is."""
    assert moment(1e9) == "2001-09-09 01:46:40\N{NO-BREAK SPACE}UTC"
    told = [lasting(each) for each in (None, 0.0355, 4.21, 59, 200, 9000, 200_000)]
    assert told == ["—", "36 ms", "4.2 s", "59 s", "3 min", "2 h", "2 d"]
    assert json.loads(pretty('{"a":[1]}')) == {"a": [1]}
    assert pretty("{no") == "{no"
    assert pretty("x" * 150_000).endswith("... and 50,000 characters more")
