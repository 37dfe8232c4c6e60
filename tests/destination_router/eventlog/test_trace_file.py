"""What workers tell, in its file: bounded, and worth less than events.

Modules: `eventlog/trace.py`, `eventlog/sqlite/trace_file.py`.
"""

from __future__ import annotations

import random
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.sqlite.trace_file import (
    KEPT_SECONDS,
    LARGEST_TRACE,
    MOST_ACTIONS,
    TraceFile,
    trace_path,
)
from destination_router.eventlog.trace import (
    Action,
    ConnectionState,
    Exchange,
    Rollup,
    Trace,
    TraceContent,
    TraceFilter,
)


def trace(offset: int, connection: str = "heap", **about: object) -> Trace:
    fields = {
        "message_id": f"m{offset}",
        "type": "track",
        "event": "Order Completed",
        "source": "web",
        "received_at": 1.5,
        "at": 2.5,
        "result": "delivered",
        **about,
    }
    return Trace(connection=connection, offset=offset, **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return trace_path(tmp_path / "router.db")


@pytest.fixture
def traces(path: Path) -> Iterator[TraceFile]:
    file = TraceFile(path, keep=10)
    yield file
    file.close()


def test_a_trace_comes_back_as_it_was_put(traces: TraceFile, path: Path) -> None:
    """From another process, too: the file is opened twice here. Only its owner reads it."""
    exchange = Exchange(at=1.0, seconds=0.5, request={"url": "u"}, status=200, outcome="delivered")
    content = TraceContent(body='{"a":1}', body_bytes=7, exchanges=(exchange,), decided_at=0.5)
    put = trace(7, content=content, code="c", detail="d", result="rejected")
    traces.put([put], {}, {}, 100.0)
    other = TraceFile(path)
    found = other.one("heap", 7)
    other.close()
    assert found is not None
    assert found.number > 0
    assert found.content == content
    assert (found.code, found.detail, found.received_at) == ("c", "d", 1.5)
    assert traces.one("heap", 8) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_message_has_one_trace_and_the_last_change_comes_first(traces: TraceFile) -> None:
    """What changes again gets a new number, which is how others see it."""
    traces.put([trace(1, result="waiting"), trace(2)], {}, {}, 100.0)
    traces.put([trace(1)], {}, {}, 100.0)
    found = traces.find(TraceFilter())
    assert [(each.offset, each.result) for each in found] == [(1, "delivered"), (2, "delivered")]
    newest, older = (each.number for each in found)
    assert newest > older > 0
    assert [each.offset for each in traces.find(TraceFilter(after=older))] == [1]
    assert traces.find(TraceFilter(after=newest)) == []


def test_traces_are_found_by_what_they_are(traces: TraceFile) -> None:
    """Each filter, alone; and a quote in one is a character like any other."""
    odd = trace(2, "other", source="ios", type="page", event="D'oh", result="filtered")
    traces.put([trace(1), odd], {}, {}, 100.0)
    for name in ("connection", "source", "type", "event", "result", "message_id"):
        wanted = TraceFilter(**{name: getattr(odd, name)})
        assert [each.offset for each in traces.find(wanted)] == [2]
        assert wanted.takes(odd)
        assert not wanted.takes(trace(1))


def test_of_each_connection_the_last_are_kept(traces: TraceFile) -> None:
    """One that is busy pushes out nothing of another one."""
    traces.put([trace(1, "quiet")], {}, {}, 100.0)
    for start in range(0, 1000, 50):
        traces.put([trace(start + i) for i in range(50)], {}, {}, 100.0)
    offsets = [each.offset for each in traces.find(TraceFilter(connection="heap"))]
    assert offsets[:10] == list(range(999, 989, -1))
    assert len(offsets) <= 50  # a batch goes as a whole
    assert len(traces.find(TraceFilter(connection="quiet"))) == 1


def test_what_waits_for_long_pushes_itself_out(traces: TraceFile) -> None:
    """A message that is tried again and again is written each time."""
    for _ in range(200):
        traces.put([trace(n, result="waiting") for n in range(5)], {}, {}, 100.0)
    (count,) = traces._database.execute("SELECT sum(traces) FROM batches").fetchone()
    assert count <= 60
    assert len(traces.find(TraceFilter())) == 5


def test_a_trace_that_is_too_large_or_cannot_be_written_is_kept_without_its_content(
    traces: TraceFile,
) -> None:
    """And its neighbours are kept as they are."""
    huge = TraceContent(body="x", requests=({"json": "x" * LARGEST_TRACE},), body_bytes=1)
    strange = TraceContent(body="y\ud800", body_bytes=2)
    whole = TraceContent(body="z")
    half = trace(3, message_id="\ud800", content=whole)
    put = [trace(0, content=huge), trace(1, content=strange), trace(2, content=whole), half]
    traces.put(put, {}, {}, 100.0)
    found = [traces.one("heap", offset) for offset in range(4)]
    assert [each and each.content.body for each in found] == [None, None, "z", None]
    assert [each and each.content.body_bytes for each in found[:2]] == [1, 2]


def test_an_integer_of_any_size_is_kept(traces: TraceFile) -> None:
    """JSON knows no largest one; what the file cannot write as a number is written as text."""
    body = '{"event":"Paid","properties":{"n":1180591620717411303424}}'
    request = {"json": {"n": 2**70, "m": [-(2**63) - 1, 2**64 - 1, True]}}
    exchange = Exchange(at=1.0, seconds=0.5, request=request)
    content = TraceContent(body=body, requests=(request,), steps=(request,), exchanges=(exchange,))
    traces.put([trace(1, content=content, fingerprint="f", event="")], {}, {}, 100.0)
    found = traces.one("heap", 1)
    assert found is not None
    assert (found.event, found.fingerprint, found.content.body) == ("Paid", "f", body)
    written = {"json": {"n": str(2**70), "m": [str(-(2**63) - 1), 2**64 - 1, True]}}
    assert found.content.requests == found.content.steps == (written,)
    assert found.content.exchanges[0].request == written


def test_a_batch_that_is_damaged_hides_no_other(traces: TraceFile) -> None:
    """Nothing depends on what it held."""
    traces.put([trace(1)], {}, {}, 100.0)
    traces._database.execute("UPDATE batches SET content = x'c1c1'")
    traces.put([trace(2)], {}, {}, 100.0)
    assert [each.offset for each in traces.find(TraceFilter())] == [2]


def test_what_is_forgotten_is_in_no_byte_of_the_file(path: Path) -> None:
    """Not even where it lay before it was pushed out; the others stay."""
    file = TraceFile(path, keep=5)
    for number in range(40):
        theirs = "ada-1815" if number % 2 else "grace-1906"
        body = TraceContent(body=f'{{"userId":"{theirs}"}}')
        file.put([trace(number, content=body)], {}, {}, 100.0)
    file.put([trace(90, "other", content=TraceContent(body="grace-1906"))], {}, {}, 100.0)
    before = len(file.find(TraceFilter(connection="heap")))
    count = file.forget("heap", lambda each: "ada" in (each.content.body or ""))
    assert 0 < count < before
    assert len(file.find(TraceFilter(connection="heap"))) == before - count
    assert file.one("other", 90) is not None
    written = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"ada-1815" not in written
    assert b"grace-1906" in written
    file.close()


def test_several_processes_tell_of_one_connection(path: Path) -> None:
    """Each of its share; the sum is shown, and who tells no more is left out."""
    one, other = TraceFile(path), TraceFile(path)
    one.put([], {}, {"heap": ConnectionState(at=1.0, in_flight=1)}, 1.0)
    other.put([], {}, {"heap": ConnectionState(at=2.0, in_flight=2, circuit="open")}, 2.0)
    state = one.states()["heap"]
    assert (state.in_flight, state.circuit, state.at) == (3, "open", 2.0)
    other.put([], {}, {"heap": ConnectionState(at=200.0, in_flight=4)}, 200.0)
    assert other.states() == {"heap": ConnectionState(at=200.0, in_flight=4)}
    one.close()
    other.close()


def test_of_a_connection_that_is_gone_nothing_is_kept_after_a_week(traces: TraceFile) -> None:
    """Its name is not configured any more, and nobody would push its messages out."""
    state = {"gone": ConnectionState(at=60_000.0)}
    traces.put([trace(1, "gone")], {}, state, 60_000.0)
    traces.put([trace(1)], {}, {"heap": ConnectionState(at=1.0)}, 60_060.0 + KEPT_SECONDS)
    traces.put([], {}, {}, 60_180.0 + KEPT_SECONDS)
    assert [each.connection for each in traces.find(TraceFilter())] == ["heap"]
    assert traces.states().keys() == {"heap"}


def test_rollups_add_up_within_their_minute_and_outlive_the_process(path: Path) -> None:
    """A restart within a minute, and a second process, count on."""
    for _ in range(2):
        file = TraceFile(path)
        latency = [1] * 13
        rollup = Rollup(received=2, rejected=1, codes={"a": 1}, latency=latency)
        file.put([], {("connection", "heap"): rollup}, {}, 6000.0)
        file.put([], {("connection", "heap"): Rollup(received=1)}, {}, 6060.0)
        file.put([], {("source", "heap"): Rollup(received=9)}, {}, 6060.0)
        file.close()
    file = TraceFile(path)
    by_minute = file.rollups("connection", 0.0, 1)["heap"]
    assert {at: each.received for at, each in by_minute.items()} == {6000: 4, 6060: 2}
    assert by_minute[6000].latency == [2] * 13
    assert by_minute[6000].codes == {"a": 2}
    assert file.rollups("connection", 0.0, 5)["heap"][6000].received == 6
    assert file.rollups("connection", 6060.0, 1)["heap"].keys() == {6060}
    file.close()


def test_rollups_are_kept_for_a_week(traces: TraceFile) -> None:
    """And of very many codes, the most frequent."""
    many = Rollup(rejected=1, codes={f"code_{i}": i + 1 for i in range(200)})
    traces.put([], {("connection", "heap"): many}, {}, 60_000.0)
    codes = traces.rollups("connection", 0.0, 1)["heap"][60_000].codes
    assert len(codes) == 50
    assert sum(codes.values()) == sum(range(1, 201))
    traces.put([], {("connection", "heap"): Rollup(received=1)}, {}, 60_120.0 + KEPT_SECONDS)
    assert 60_000 not in traces.rollups("connection", 0.0, 1)["heap"]


def test_states_actions_and_whether_somebody_looks(traces: TraceFile) -> None:
    """The last state counts; actions are bounded; a look lasts some seconds."""
    for at in (1.0, 2.0):
        traces.put([], {}, {"heap": ConnectionState(at=at, quotas={"q": (1, 2)})}, at)
    assert traces.states() == {"heap": ConnectionState(at=2.0, quotas={"q": (1, 2)})}
    for number in range(MOST_ACTIONS + 5):
        traces.note(Action(float(number), "operator", "replay", "heap", number))
    actions = traces.actions(10_000)
    assert len(actions) == MOST_ACTIONS
    assert actions[0].count == MOST_ACTIONS + 4
    assert not traces.watched(100.0)
    traces.watch(100.0)
    assert traces.watched(105.0)
    assert not traces.watched(111.0)
    assert not traces.watched(50.0)  # the clock was set back


def test_what_is_no_trace_file_is_left_alone(path: Path) -> None:
    """An event log, a text, a folder, a newer version: none is written to."""

    def make_database() -> None:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE t (a)")
        database.close()

    for make in (make_database, lambda: path.write_text("text " * 1000), path.mkdir):
        make()
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(LogFileError, match=r"router\.db-console"):
            TraceFile(path)
        if path.is_dir():
            path.rmdir()
            continue
        assert path.read_bytes() == before
        path.unlink()


def test_processes_that_find_an_earlier_version_together_drop_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second drops nothing of what the first has written by then."""
    with closing(TraceFile(path)) as earlier:
        earlier.put([trace(1)], {}, {}, now=60.0)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    connect = sqlite3.connect

    class Slow(sqlite3.Connection):
        """A process that another one overtakes once it has seen the version."""

        def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
            found = super().execute(sql, *more)
            if sql == "PRAGMA user_version" and not self.in_transaction:
                monkeypatch.setattr(sqlite3, "connect", connect)
                with closing(TraceFile(path)) as first:
                    first.put([trace(2)], {}, {}, now=60.0)
            return found

    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Slow))
    with closing(TraceFile(path)) as second:
        assert [each.offset for each in second.find(TraceFilter())] == [2]


def test_what_cannot_be_written_is_told(traces: TraceFile) -> None:
    """A worker goes on without."""
    traces._database.execute("DROP TABLE batches")
    with pytest.raises(LogUnavailableError):
        traces.put([trace(1)], {}, {}, 1.0)
    with pytest.raises(LogUnavailableError):
        traces.find(TraceFilter())


def test_a_list_tells_of_each_message_what_the_whole_trace_does(path: Path) -> None:
    """It takes less of each apart: whatever they hold, in however many batches they were put."""
    chance = random.Random(3)
    bodies = (
        None,
        "{",
        "{}",
        '{"event":"A"}',
        '{"name":"B","event":null}',
        '{"event":[1]}',
        "é\\u0000",
    )
    with closing(TraceFile(path)) as file:
        for _ in range(30):
            batch = [
                trace(
                    chance.randrange(200),
                    chance.choice(["heap", "other"]),
                    result=chance.choice(["waiting", "delivered", "filtered", "rejected"]),
                    event=chance.choice(["", "E"]),
                    fingerprint=chance.choice(["", "known"]),
                    content=TraceContent(
                        body=chance.choice(bodies), steps=({"step": "s", "after": {"a": [1]}},)
                    ),
                )
                for _ in range(chance.randrange(1, 20))
            ]
            file.put(batch, {}, {}, 100.0)
        for name in ("heap", "other"):
            listed = file.find(TraceFilter(connection=name, limit=1000))
            whole = list(file.several(name, {each.offset for each in listed}))
            assert [replace(each, content=TraceContent()) for each in whole] == listed
            assert {each.event for each in listed} == {"", "A", "B", "E"}


def test_who_asks_whether_anything_was_written_is_told(traces: TraceFile, path: Path) -> None:
    """Also by another process; while nothing is, the file need not be read."""
    seen = {str(traces.last_write())}
    for number in range(3):
        assert str(traces.last_write()) in seen
        with closing(TraceFile(path)) as other:
            other.put([trace(number)], {}, {}, 100.0)
            now = str(traces.last_write())
        assert now not in seen
        seen = {str(traces.last_write())}


def test_what_this_process_wrote_is_told_as_a_reading_would(path: Path) -> None:
    """Unless somebody else wrote, or it is too long ago: then it is to be read."""
    chance = random.Random(5)
    told = read = 0
    with closing(TraceFile(path)) as file, closing(TraceFile(path)) as other:
        assert file.fresh(0, file.last_write()) is None  # nobody looks
        file.remember(watched=True)
        seen = [0]
        for number in range(400):
            writer = other if chance.random() < 0.05 else file
            about = {"fingerprint": "known", "content": TraceContent(body='{"event":"A"}')}
            odd = {"event": "half \ud800"} if chance.random() < 0.1 else about
            batch = [
                trace(chance.randrange(50), chance.choice(["heap", "other"]), **odd)
                for _ in range(chance.randrange(1, 4))
            ]
            writer.put(batch, {("source", "web"): Rollup(received=1)}, {}, float(number))
            after = chance.choice(seen[-30:])
            found, _ = file.news(TraceFilter(after=after, limit=1000))
            seen.append(file.find(TraceFilter(limit=1))[0].number)
            fresh = file.fresh(after, file.last_write())
            if fresh is None:
                read += 1
                continue
            told += 1
            last = {(each.connection, each.offset): each for each in fresh}
            assert sorted(last.values(), key=lambda each: -each.number) == found
        assert told > 50
        assert read > 50
        file.remember(watched=False)
        assert file.fresh(seen[-1], file.last_write()) is None
