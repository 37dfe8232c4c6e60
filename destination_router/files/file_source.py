"""Lets a worker read a file of messages. Positions are offsets, and finished lines are skipped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import repeat
from math import inf
from typing import Any

import msgspec

from destination_router.contract.records import Reject
from destination_router.contract.times import read_time
from destination_router.eventlog.interface import Event
from destination_router.files.cutting import Head, head_of
from destination_router.files.line_sources import MOST_BYTES, LineSource
from destination_router.files.reading import Line
from destination_router.files.resuming import SendState
from destination_router.pipeline.message_root import Root
from destination_router.pipeline.wire import members

MOST_BYTES_OUT = 2 * MOST_BYTES
"""While so many bytes are handed out and not committed, no more are read."""

_YEAR_2 = datetime(2, 1, 1, tzinfo=UTC).timestamp()
"""The year before stands for none: `read_time`."""


class FileSource:
    """Hands out each line of a file once. `finished` is set when all of them are committed.

    If a file breaks off, it hands out everything before that place. A worker bounds how many
    messages it has. Here, their bytes are bounded, because one line may have several megabytes.

    Args:
        lines: the file's.
        state: the finished lines.
    """

    def __init__(self, lines: LineSource, state: SendState) -> None:
        self._lines = lines
        self._state = state
        self._out: dict[int, int] = {}
        self._places: dict[int, str] = {}
        self._kept: set[int] = set()
        self._bytes_out = 0
        self._committed = asyncio.Event()
        self.finished = asyncio.Event()
        self.passed_over = 0
        self.bytes_done = 0
        self.bytes_passed_over = 0

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:  # noqa: ARG002 -- a file has one reader
        """Read more lines, once there is room for them. At the end, wait for ever."""
        while not self._lines.ended:
            while self._bytes_out >= MOST_BYTES_OUT:
                self._committed.clear()
                await self._committed.wait()
            lines = await self._lines.take(limit)
            new = self._new(lines) if self._state.resumed else lines
            numbers = [line.number for line in new]
            sizes = [len(line.raw) + 1 for line in new]
            self._out.update(zip(numbers, sizes, strict=True))
            self._bytes_out += sum(sizes)
            if numbers != [line.line for line in new]:  # else the number says it all
                self._places.update((line.number, line.place) for line in new)
            if lines:
                self._state.hand_out(numbers, lines[-1].number)
            if new:
                return events_of(new)
        self._see_whether_finished()
        never: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()
        return await never

    def _new(self, lines: Sequence[Line]) -> list[Line]:
        """Pass over lines that an earlier run has finished."""
        new: list[Line] = []
        for line in lines:
            if not self._state.is_done(line.number):
                new.append(line)
                continue
            size = len(line.raw) + 1
            self.passed_over += 1
            self.bytes_passed_over += size
            self.bytes_done += size
        return new

    def place(self, number: int) -> str:
        """Name the place of a message that is handed out but not committed: `line 3`."""
        return self._places.get(number, f"line {number}")

    def keep(self, lines: Collection[int]) -> None:
        """Leave messages for the next run, even if they are committed now."""
        self._kept.update(lines)

    def left(self, *, to_the_end: bool) -> int:
        """Count the lines that are left for the next run. Nothing can be read afterwards.

        Args:
            to_the_end: whether to read on and count lines that were not handed out. Otherwise they
            count as one.
        """
        unread = 0
        if not self._lines.ended:
            unread = 1
            if to_the_end:
                unread = sum(not self._state.is_done(line.number) for line in self._lines.rest())
        return len(self._kept.union(self._out)) + unread

    async def commit(self, connection: str, offsets: Collection[int]) -> None:  # noqa: ARG002
        """Note finished lines."""
        out = self._out
        size = sum(map(out.pop, offsets, repeat(0)))
        self.bytes_done += size
        self._bytes_out -= size
        self._committed.set()
        if self._places:
            for offset in offsets:
                self._places.pop(offset, None)
        kept = self._kept
        done = [offset for offset in offsets if offset not in kept] if kept else offsets
        self._state.commit(done)
        self._see_whether_finished()

    def _see_whether_finished(self) -> None:
        if self._lines.ended and not self._out:
            self.finished.set()


def events_of(lines: Sequence[Line]) -> list[Event]:
    """Make events of lines, as `event_of` does of each."""
    return _plain_events(lines) or [event_of(line) for line in lines]


def _plain_events(lines: Sequence[Line]) -> list[Event] | None:
    """Make events of lines that have an id and a UTC time of receipt, as nearly all; else None."""
    events: list[Event] = []
    before: object = ...  # no message has this
    moment = 0.0
    for line in lines:
        head = line.head
        # `isinstance` would ask the class of the records, in ten times as many steps.
        if head is None or type(head) is Head or not head.message_id or head.message_id.isspace():
            return None
        if head.received_at != before:  # what came in one request came at the same time
            if (found := _utc_moment(head.received_at)) is None:
                return None
            before, moment = head.received_at, found
        events.append(Event(line.number, line.raw, moment, None, None, head))
    return events


def _utc_moment(text: str | None) -> float | None:
    """Read a UTC time as `read_time` does; None for one of another zone, or none."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    moment = read.timestamp() if read.tzinfo is UTC else -inf
    return moment if moment >= _YEAR_2 else None


def event_of(line: Line) -> Event:
    """Make an event of a line: with an id, and with the time at which it was received.

    A message without an id gets one from its line: the same in every run over the file. Its first
    available time counts as the time of receipt, because a file of months is read in seconds.
    """
    head = line.head or head_of(line.raw)
    if head is None:
        return Event(line.number, line.raw)  # whether it is a message is for the pipeline to say
    read = None if head.received_at is None else read_time(head.received_at)
    if read is None:
        times = (head.timestamp, head.original_timestamp, head.sent_at)
        read = next(filter(None, map(read_time, times)), None)
    moment = None if read is None else read.timestamp()
    given = head.message_id
    if type(given) is str and given.strip():  # as of nearly all
        root = head if isinstance(head, Root) else None
        return Event(line.number, line.raw, moment, root=root)
    return Event(line.number, _with_id(line, given), moment)


def _with_id(line: Line, given: Any) -> bytes:
    if given is not None and given != "" and not (isinstance(given, str) and given.isspace()):
        return line.raw
    try:
        fields = members(line.raw)
    except Reject:
        return line.raw
    fields["messageId"] = msgspec.json.encode(line.message_id)
    pairs = [_name_json(name) + b":" + value for name, value in fields.items()]
    return b"{" + b",".join(pairs) + b"}"


def _name_json(name: str) -> bytes:
    try:
        return msgspec.json.encode(name)
    except UnicodeEncodeError:  # it holds half a character, or had bytes that are not UTF-8
        return json.dumps(name).encode()
