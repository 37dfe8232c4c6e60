"""What `send` says of how it goes, and what it waits for."""

import io
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from destination_router.commands.send_progress import SendProgress, seconds_left, words
from destination_router.delivery.stats import DeliveryStats
from destination_router.files.sending import Summary, View

APP = "events_per_app"


def view(done: int = 500, *, passed_over: int = 0, by_quota: float = 0.0, **stats: Any) -> View:
    summary = Summary(messages=500, delivered=500)
    return View(done, summary, DeliveryStats(**stats), passed_over, lambda share: share * by_quota)


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ({}, ""),
        ({"awaited_quotas": {APP: 11.2}, "parked": 7, "at_quotas": 7}, f"waiting for {APP} (12 s)"),
        ({"awaited_quotas": {APP: 11.2, "b": 3.0}}, f"waiting for {APP} (12 s), b (3 s)"),
        ({"awaited_quotas": {APP: float("inf")}}, ""),
        ({"parked": 9, "at_quotas": 7}, "2 retrying"),
        ({"circuit": "open"}, "vendor down"),
        ({"holds": {"http_401": True}, "held_detail": "no"}, "held, http_401: no"),
        ({"paused": True, "awaited_quotas": {APP: 2.0}}, "paused"),
    ],
)
def test_what_it_waits_for_is_said(stats: dict[str, Any], said: str) -> None:
    """A quota by its name with the seconds; only what the vendor refused is retried."""
    assert words(view(**stats), 10.0) == "  ".join(filter(None, ("50/s  500 delivered", said)))


def test_rejected_messages_are_counted() -> None:
    """Where there are any."""
    shown = View(500, Summary(messages=500, rejected=Counter(a=2)), DeliveryStats())
    assert words(shown, 10.0) == "50/s  0 delivered  2 rejected"


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        (view(), 10.0),
        (view(by_quota=100.0), 100.0),
        (view(awaited_quotas={APP: 40.0}), 40.0),
        (view(awaited_quotas={APP: float("inf")}), 10.0),
        (view(passed_over=400), 50.0),
        (view(passed_over=500), None),
        (view(0), None),
        (view(1000), 0.0),
        (view(paused=True), None),
        (view(circuit="open"), None),
        (view(holds={"http_401": True}), None),
    ],
)
def test_the_rest_takes_as_long_as_the_pace_and_the_limits_say(
    shown: View, left: float | None
) -> None:
    """Of 1000 bytes, 500 are done after 10 s of work; what a former run did makes no pace."""
    assert seconds_left(shown, 1000, 10.0) == left
    assert seconds_left(shown, None, 10.0) is None


def test_where_there_is_no_bar_a_line_says_once_what_it_waits_for(tmp_path: Any) -> None:
    """And the time of waiting does not count for the pace."""
    source = tmp_path / "messages.jsonl"
    source.write_bytes(b"x" * 1000)
    told, now = io.StringIO(), [0.0]
    console = Console(file=told, width=200)
    progress = SendProgress(console, "heap", str(source), "5m", clock=lambda: now[0])
    with progress:
        for seconds in range(1, 11):
            now[0] = float(seconds)
            progress.show(view(50 * seconds, in_flight=1))
        for waited in range(50):
            now[0] += 1.0
            progress.show(view(by_quota=60.0, awaited_quotas={APP: 50.0 - waited}))
        progress.show(view(paused=True))
        progress.show(view())
    said = "waiting for events_per_app (50 s), 0:01:00 for the rest."
    assert told.getvalue().splitlines() == [
        f"The vendor takes no more for now: {said}",
        "heap is paused: waiting for 5m that it is resumed.",
        "heap is resumed.",
    ]
