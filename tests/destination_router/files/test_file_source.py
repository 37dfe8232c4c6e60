"""A file's messages are decoded as they are read, and become what they would become without that.

Modules: `file_source.py`, `reading.py`.
"""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import damaged

from destination_router.eventlog.interface import Event
from destination_router.faults import UsageError
from destination_router.files import reading
from destination_router.files.file_source import event_of, events_of
from destination_router.files.reading import BrokenOffError, Line, read_lines
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

ids = st.sampled_from(["m1", "m2", "", " ", "\u00a0", "m1"])
times = st.sampled_from(
    [
        *("2026-11-22T10:00:00.000Z", "2026-11-22T09:59:59.999999Z", "2026-11-22T10:00:00+00:00"),
        *("2026-11-22T10:00:00", "2026-11-22T10:00:00+01:00", "0001-01-01T00:00:00Z"),
        *("2026-11-22T10:00:00.000Z ", "20261122", "1701011202", "soon", "", None, 1701011202, []),
    ]
)
plain = st.fixed_dictionaries(
    {
        "type": st.just("track"),
        "messageId": st.just("m1"),
        "userId": st.just("ada"),
        "event": st.sampled_from(["Paid", "}{", '"batch"']),
        "receivedAt": st.sampled_from(["2026-11-22T10:00:00.000Z", "1969-12-31T23:59:59Z"]),
    }
)
odd = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "nope", 1])},
    optional={
        "messageId": ids | st.integers(0, 1) | st.none(),
        "userId": st.sampled_from(["ada", "", None]),
        "event": st.just("Paid"),
        "properties": st.sampled_from([{}, {"a": {"batch": [1]}}, {"a": 1e300}, []]),
        **dict.fromkeys(("receivedAt", "timestamp", "sentAt", "originalTimestamp"), times),
        "batch": st.sampled_from([[{"type": "track"}], [], 1, None]),
        "strange": st.just(1),
    },
)


@functools.cache
def heap() -> Connection:
    return Connection("heap", load_plugin("heap"), {"appId": "11"})


def read(content: bytes, *, decodes: bool) -> tuple[list[Line], str]:
    """Read a file; gives its messages, and the sentence with which it breaks off, if it does."""
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages"
        path.write_bytes(content)
        try:
            lines.extend(read_lines(str(path), decodes=decodes))
        except (BrokenOffError, UsageError) as error:
            return lines, str(error).replace(folder, "")
    return lines, ""


def named(lines: list[Line]) -> list[tuple[int, bytes, int, int]]:
    return [(line.number, line.raw, line.line, line.nth) for line in lines]


def bare(events: list[Event]) -> list[tuple[int, bytes, float | None]]:
    return [(event.offset, event.body, event.received_at) for event in events]


@given(st.lists(plain | odd, min_size=1, max_size=6), st.data())
@settings(deadline=None, max_examples=120)
def test_what_is_decoded_on_the_way_is_read_as_all_else(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    """The same messages, the same events, and the same decisions; also of a damaged file."""
    content = "\n".join(map(json.dumps, messages)).encode()
    if data.draw(st.booleans()):
        content = data.draw(damaged(content))
    lines, cause = read(content, decodes=True)
    others, other_cause = read(content, decodes=False)
    assert (named(lines), cause) == (named(others), other_cause)
    events = events_of(lines)
    assert bare(events) == bare([event_of(line) for line in others])
    assert all(event.root is None for event in map(event_of, others))
    bodies = [event.body for event in events]
    connection = heap()
    roots = [event.root for event in events]
    assert connection.decide_all(bodies, roots=roots) == connection.decide_all(bodies)


@given(st.lists(plain, min_size=1, max_size=4), st.lists(odd, max_size=2))
@settings(deadline=None, max_examples=60)
def test_events_made_together_are_those_made_one_by_one(
    messages: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    """With what was read of them on the way."""
    lines, _ = read("\n".join(map(json.dumps, messages + more)).encode(), decodes=True)
    assert events_of(lines) == [event_of(line) for line in lines]


@pytest.mark.parametrize("first", [None, "", "0", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00"])
def test_messages_of_one_request_have_its_time(first: str | None) -> None:
    """A time is read once where several follow each other with it, and none where there is none."""
    message = {"type": "track", "messageId": "m", "userId": "ada", "timestamp": "2026-11-21T08:00Z"}
    times = [first, first, "2026-11-22T11:00:00+00:00", "2026-11-22T11:00:00Z", first]
    content = "\n".join(json.dumps({**message, "receivedAt": time}) for time in times)
    lines, _ = read(content.encode(), decodes=True)
    assert events_of(lines) == [event_of(line) for line in lines]


def test_only_small_messages_are_decoded_on_the_way() -> None:
    """Many wait in memory until they are decided, and a large one takes several times its size."""
    message = {"type": "track", "messageId": "m1", "userId": "ada", "event": "Paid"}
    small, large = (
        json.dumps({**message, "properties": {"a": "x" * size}}).encode()
        for size in (1000, reading._MOST_DECODED)
    )
    lines, _ = read(small + b"\n" + large, decodes=True)
    assert [event.root is None for event in map(event_of, lines)] == [False, True]


def test_a_name_that_is_no_text_costs_no_other_message() -> None:
    """A message without an id gets one from its line, whatever else is in it."""
    content = b'{"type":"track","userId":"ada","event":"Paid","\x80type":1}'
    lines, _ = read(content, decodes=True)
    (event,) = events_of(lines)
    (decision,) = heap().decide_all([event.body])
    assert (decision.result, decision.message_id) == ("requests", lines[0].message_id)
