"""What comes in, live: a table, and a stream that is bounded whoever reads it.

Modules: `console/live_row.py`, `console/live_streams.py`, `console/message_page.py`,
`console/decision_view.py`, `console/command_runs.py`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from console_served import TOML, VIEWER, Served, Start
from small_program import runs, speaks
from starlette.requests import Request
from waiting import PATIENCE, until

from destination_router.config.router_toml import ConnectionConfig, load_config
from destination_router.console import live, live_streams
from destination_router.console.assets import Assets
from destination_router.console.decision_view import content_of, view_of
from destination_router.console.desk import Desk
from destination_router.console.live_row import row
from destination_router.console.live_streams import Frame, News, Stream
from destination_router.console.rendering import Rendering
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Exchange, Rollup, Trace, TraceContent, TraceFilter
from destination_router.pipeline.privacy.sealing import is_marked
from destination_router.programs.destination import ProgramHooks
from destination_router.service.connections import connect

MESSAGE = {
    "type": "track",
    "messageId": "m7",
    "userId": "ada@example.com",
    "event": "Order Completed",
    "properties": {"total": 42},
}
HTML = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def trace(offset: int = 7, **about: Any) -> Trace:
    body = json.dumps(MESSAGE)
    request = {"method": "POST", "url": "https://heap.test/api/track", "json": MESSAGE}
    exchange = Exchange(
        at=time.time(), seconds=0.04, request=request, status=200, answer="{}", outcome="delivered"
    )
    fields: dict[str, Any] = {
        "message_id": f"m{offset}",
        "type": "track",
        "event": "Order Completed",
        "source": "web",
        "received_at": time.time(),
        "at": time.time(),
        "result": "delivered",
        "content": TraceContent(
            body=body,
            body_bytes=len(body),
            requests=(request,),
            exchanges=(exchange,),
            decided_at=time.time(),
            ended_at=time.time(),
        ),
        **about,
    }
    return Trace(connection="heap", offset=offset, **fields)


class Reader:
    """Reads a stream in a thread, as a browser would."""

    def __init__(self, console: Served, query: str = "", **headers: str) -> None:
        self.text = ""
        self.ended = False
        self.status = 0
        client = console.client()
        self._cookie = f"console={client.cookies['console']}"
        self._url = f"{console.url}/live/stream?{query}"
        self._headers = headers
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        headers = {"cookie": self._cookie, "accept": "text/event-stream", **self._headers}
        with httpx.stream("GET", self._url, headers=headers, timeout=PATIENCE) as answer:
            self.status = answer.status_code
            try:
                for part in answer.iter_text():
                    self.text += part
            except httpx.HTTPError:
                pass
        self.ended = True

    def end(self) -> None:
        self._thread.join(timeout=PATIENCE)


@contextmanager
def reading(console: Served, query: str = "", **headers: str) -> Iterator[Reader]:
    reader = Reader(console, query, **headers)
    until(lambda: reader.status)
    yield reader
    console.over()
    reader.end()


def test_the_page_shows_the_last_messages_and_what_became_of_them(console: Served) -> None:
    """By filter; with a row for each, and a link to all about it."""
    odd = trace(8, result="rejected", code="http_400", event="Signed Up", source="ios")
    console.traces.put([trace(), odd], {}, {}, time.time())
    client = console.client(VIEWER)
    text = client.get("/live").text
    assert "Order Completed" in text
    assert "http_400" in text
    filtered = client.get("/live?result=rejected&event=Signed+Up&source=ios&type=track").text
    assert "m8" in filtered
    assert ">m7<" not in filtered
    assert "Nothing yet" in client.get("/live?event=None").text
    assert "A sample" not in text
    sampled = {("connection", "heap"): Rollup(received=900, untraced=800)}
    console.traces.put([], sampled, {}, time.time())
    assert "A sample: of 900 messages" in client.get("/live").text


def test_the_stream_tells_what_is_new(console: Served) -> None:
    """What came before is not told again; a filter holds; it says that somebody looks."""
    console.traces.put([trace(1)], {}, {}, time.time())
    (seen,) = console.traces.find(TraceFilter())
    with reading(console, f"after={seen.number}&result=delivered") as reader:
        until(lambda: console.traces.watched(time.time()))
        console.traces.put([trace(2), trace(3, result="filtered")], {}, {}, time.time())
        until(lambda: "m2" in reader.text)
    (newest, _) = console.traces.find(TraceFilter(result="delivered"))
    assert f"id: {newest.number}\n" in reader.text
    assert ">m1<" not in reader.text
    assert ">m3<" not in reader.text
    assert reader.ended


def test_who_comes_back_is_told_what_they_missed(console: Served) -> None:
    """As a browser asks: from the last that it has seen."""
    console.traces.put([trace(n) for n in range(1, 6)], {}, {}, time.time())
    seen = str(console.traces.find(TraceFilter())[2].number)
    with reading(console, "after=0", **{"last-event-id": seen}) as reader:
        until(lambda: "m5" in reader.text)
    assert ">m4<" in reader.text
    assert ">m3<" not in reader.text


def test_a_stream_ends_when_its_reader_signs_out(
    console: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next beat: no page goes on showing what its reader may not see any more."""
    monkeypatch.setattr(live_streams, "_BEAT_SECONDS", 0.05)
    reader = Reader(console)
    until(lambda: reader.status == 200)
    with httpx.Client(base_url=console.url, headers={"sec-fetch-site": "same-origin"}) as client:
        client.post("/logout", headers={"cookie": reader._cookie})
    until(lambda: reader.ended)


def test_a_stream_beats_while_the_file_is_locked(
    console: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a look waits for it, and how many do."""
    monkeypatch.setattr(live_streams, "_BEAT_SECONDS", 0.05)
    with reading(console) as reader:
        until(lambda: reader.status == 200)
        with console.traces._lock:  # as where another process keeps every look waiting
            before = reader.text.count(": beat")
            until(lambda: reader.text.count(": beat") > before + 3)


def test_only_so_many_may_look_at_once(console: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told to come later; the router's own listener has nothing to do with it."""
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    with reading(console), reading(console):
        answer = console.client().get("/live/stream")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"


def test_who_leaves_before_anything_is_read_looks_no_more(tmp_path: Path) -> None:
    """Their place is free again, and nothing is read for them any more."""

    async def main() -> None:
        traces = TraceFile(tmp_path / "router.db-console")
        shown = live.Live(Desk(unused, traces), Rendering(Assets(), time.time), asyncio.Event())
        request = Request({"type": "http", "headers": [], "query_string": b"", "state": {}})
        request.state.is_signed_in = lambda: True
        answer = await shown._stream(request)
        assert len(shown.feed) == 1
        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, gone, never_sent)
        assert len(shown.feed) == 0
        traces.close()

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def never_sent(_: Any) -> None:
        await asyncio.Event().wait()

    def unused() -> Any:
        raise AssertionError

    asyncio.run(main())


def test_who_reads_too_slowly_is_told_how_much_they_missed() -> None:
    """What waits for them is bounded; the newest stays."""

    async def main() -> None:
        stream = Stream(TraceFilter(result="delivered"))
        stream.begin(0)
        for number in range(1000):
            found = [
                trace(number, number=2 * number + 1),
                trace(number, number=2 * number + 2, result="waiting"),
            ]
            stream.offer(News(found, 0, lambda each: each.message_id))
        assert stream.waiting.qsize() == 20
        assert stream.missed == 980
        frame = stream.waiting.get_nowait()
        assert frame == Frame(1961, 1, "m980")
        stream.end()
        stream.end()
        assert "981 messages" in stream.next_event(frame)
        assert stream.next_event(frame) == "id: 1961\ndata: m980\n\n"
        assert [stream.waiting.get_nowait() for _ in range(20)][18:] == [None, None]

    asyncio.run(main())


def test_a_row_is_drawn_once_however_many_look() -> None:
    """With one filter all get the same text; whoever has seen a part gets the rest."""
    drawn: list[int] = []

    def draw(each: Trace) -> str:
        drawn.append(each.number)
        return each.message_id

    async def main() -> None:
        wanted = [TraceFilter(), TraceFilter(), TraceFilter(result="waiting"), TraceFilter()]
        streams = [Stream(each) for each in wanted]
        for stream, seen in zip(streams, (0, 3, 0, 7), strict=True):
            stream.begin(seen)
        results = ("delivered", "waiting", "delivered")
        found = [trace(n, number=n + 6, result=results[n]) for n in range(3)]
        news = News(found, 0, draw)
        for stream in streams:
            stream.offer(news)
        told = [stream.waiting.get_nowait() for stream in streams]
        assert [(frame.number, frame.rows) for frame in told if frame] == [
            (8, "m2m1m0"),
            (8, "m2m1m0"),
            (7, "m1"),
            (8, "m2"),
        ]

    asyncio.run(main())
    assert sorted(drawn) == [6, 7, 8]


def test_who_is_far_behind_is_told_how_much_is_not_shown(
    console: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what came while nobody read, and of what comes at once, the newest are shown."""
    monkeypatch.setattr(live, "SHOWN", 20)
    monkeypatch.setattr(live_streams, "ROWS_AT_ONCE", 20)
    console.traces.put([trace(1)], {}, {}, time.time())
    (seen,) = console.traces.find(TraceFilter())
    console.traces.put([trace(n) for n in range(2, 102)], {}, {}, time.time())
    with reading(console, f"after={seen.number}") as reader:
        until(lambda: "80 messages" in reader.text)
        many = [trace(n, result="filtered" if n % 2 else "delivered") for n in range(200, 300)]
        console.traces.put(many, {}, {}, time.time())
        until(lambda: ">m299<" in reader.text)
        until(lambda: reader.text.count("not shown") == 2)
    assert ">m81<" not in reader.text
    assert ">m279<" not in reader.text
    assert reader.text.count("80 messages") == 2


def test_a_line_end_in_a_row_ends_no_event() -> None:
    """Else what a sender wrote could be read as an event of ours."""
    odd = trace(event="a\nid: 9\r\n\r\n\r", source="\r\n\r\n", message_id="\ndata: b")
    drawn = row(odd, fresh=True)
    assert len(drawn.splitlines()) == 1
    assert Frame(7, 1, drawn).event().split("\n") == ["id: 7", f"data: {drawn}", "", ""]


def test_a_message_is_shown_whole(console: Served) -> None:
    """What came in, what it became, the answer, the times, and a command that shows the same."""
    console.traces.put([trace()], {}, {}, time.time())
    text = console.client(VIEWER).get("/live/event?connection=heap&offset=7").text
    for words in ("ada@example.com", "https://heap.test/api/track", "came in from web", "ended"):
        assert words in text
    assert "destination-router try --config" in text
    assert "Run again" not in text
    for wrong in ("offset=8", "offset=x", "offset=99999999999999999999", "offset=", "offset=7e1"):
        assert console.client().get(f"/live/event?connection=heap&{wrong}").status_code == 404
    assert console.client().get("/live/event?connection=other&offset=7").status_code == 404


LEAN = f"""{TOML}
transformations = [{{ rename = {{ "properties.total" = "properties.sum" }} }}]
"""


def lean(console: Served, **about: Any) -> Trace:
    """A trace as workers write it: without what the connection makes of the message."""
    whole = trace(**about)
    content = msgspec.structs.replace(whole.content, requests=())
    fingerprint = console.connections[0].fingerprint
    return msgspec.structs.replace(whole, event="", content=content, fingerprint=fingerprint)


def test_the_steps_are_found_out_when_somebody_opens_a_message(console_of: Start) -> None:
    """With the configuration that the worker had, though router.toml has changed since."""
    console = console_of(LEAN)
    console.traces.put([lean(console)], {}, {}, time.time())
    path = "/live/event?connection=heap&offset=7"
    client = console.client(VIEWER)
    assert "Order Completed" in client.get("/live").text
    assert "Order Completed" in client.get("/live?event=Order+Completed").text
    text = client.get(path).text
    assert "transformations.0.rename" in text
    assert "https://heapanalytics.com/api/track" in text  # what it made of it
    assert "https://heap.test/api/track" in text  # what left
    changed = connect(load_config(console.config_at(TOML)).connections[0])
    console.configured = msgspec.structs.replace(console.configured, connections=[changed])
    assert client.get(path).text.count("transformations.0.rename") == text.count(
        "transformations.0.rename"
    )


def test_the_steps_of_a_masked_message_are_found_out_from_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same as from the message itself: what passed privacy, what took it, what it became."""
    monkeypatch.setenv("MASKING_KEY", "00" * 32)
    allow = {"events": ["Order Completed"], "properties": ["total", "sum"], "traits": ["plan"]}
    keys = {"v1": {"env": "MASKING_KEY"}}
    about = {
        "name": "heap",
        "plugin": "heap",
        "settings": {"appId": "11"},
        "privacy": {"mode": "hipaa", "allow": allow, "keys": keys},
        "shared": {"privacy": {"allow": allow}},
        "transformations": [{"rename": {"properties.total": "properties.sum"}}],
        "subscriptions": [{"when": 'type = "track"'}, {"when": 'type = "identify"'}],
    }
    connection = connect(msgspec.convert(about, ConnectionConfig))
    chance = random.Random(7)
    sealed = 0
    for number in range(300):
        named = {name: chance.choice([1, "x", None, [1]]) for name in ("total", "note", "plan")}
        message = {
            "type": chance.choice(["track", "identify", "page"]),
            "messageId": f"m{number}",
            chance.choice(["userId", "anonymousId"]): f"ada-{number}",
            "event": chance.choice(["Order Completed", "Other"]),
            chance.choice(["properties", "traits"]): named,
            "timestamp": "2026-11-30T01:02:03.000Z",
        }
        raw = json.dumps(message).encode()
        kept = connection.kept(raw)
        if not is_marked(kept):
            continue
        sealed += 1
        content = TraceContent(body=kept.decode())
        lean = trace(content=content, fingerprint=connection.fingerprint, result="delivered")
        found, whole = content_of(connection, lean), view_of(connection, raw)
        assert found.requests == whole.requests
        plain = [{**step, "notes": []} for step in whole.steps]
        assert [{**step, "notes": []} for step in found.steps] == plain
    assert sealed > 50


def test_no_program_of_an_earlier_configuration_runs_on(console: Served, tmp_path: Path) -> None:
    """Each would stay in memory, for as many changes of router.toml as are remembered."""
    command = speaks(tmp_path)

    def change(event: str) -> int:
        about = {
            "name": "small",
            "plugin": "small",
            "program": {"command": command},
            "transformations": [{"drop_events": [event]}],
        }
        connection = connect(msgspec.convert(about, ConnectionConfig))
        console.configured = msgspec.structs.replace(console.configured, connections=[connection])
        hooks = connection.plugin.elsewhere
        assert isinstance(hooks, ProgramHooks)
        assert connection.decide(json.dumps(MESSAGE).encode()).result == "requests"
        assert hooks.program.pid is not None
        return hooks.program.pid

    client = console.client()
    first = change("one")
    assert client.get("/live").status_code == 200
    assert runs(first)
    last = change("another")
    assert client.get("/live").status_code == 200
    gc.collect()
    until(lambda: not runs(first))
    assert runs(last)


def test_of_what_is_not_kept_nothing_is_claimed(console: Served) -> None:
    """A message that was too large became requests all the same."""
    path = "/live/event?connection=heap&offset=7"
    untrue = ("It became no request", "Nothing went out", "stands between it")
    console.traces.put([trace(content=TraceContent(body_bytes=70_000))], {}, {}, time.time())
    text = console.client().get(path).text
    assert [words for words in untrue if words in text] == []
    assert "its steps are not known" in text
    body = json.dumps(MESSAGE)
    filtered = trace(result="filtered", content=TraceContent(body=body))
    console.traces.put([filtered], {}, {}, time.time())
    text = console.client().get(path).text
    assert [words for words in untrue if words in text] == list(untrue)


def test_where_the_configuration_of_then_is_not_known_what_was_sent_is_shown(
    console: Served,
) -> None:
    """And it is said, with what to do."""
    old = msgspec.structs.replace(lean(console), fingerprint="of another configuration")
    console.traces.put([old], {}, {}, time.time())
    text = console.client().get("/live/event?connection=heap&offset=7").text
    assert "The configuration has changed since" in text
    assert "https://heap.test/api/track" in text
    assert "https://heapanalytics.com" not in text
    assert "ada@example.com" in text


def test_what_another_masking_key_sealed_is_said_to_have_been_sent(
    console_of: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be decided again, and it became a request all the same."""
    allow = 'allow = { events = ["Order Completed"], properties = ["total"] }'
    keys = f'[privacy]\n{allow}\n[privacy.keys]\nv1 = {{ env = "KEY" }}\n'
    toml = f'{TOML}[connections.privacy]\nmode = "hipaa"\n{allow}\n{keys}'
    (before := tmp_path / "before.toml").write_text(toml)
    monkeypatch.setenv("KEY", "00" * 32)
    (then,) = (connect(each) for each in load_config(before).connections)
    body = then.kept(json.dumps(MESSAGE).encode()).decode()
    monkeypatch.setenv("KEY", "11" * 32)
    console = console_of(toml)
    assert then.fingerprint == console.connections[0].fingerprint
    content = TraceContent(body=body, exchanges=trace().content.exchanges)
    sent = trace(content=content, fingerprint=then.fingerprint)
    console.traces.put([sent], {}, {}, time.time())
    text = console.client().get("/live/event?connection=heap&offset=7").text
    assert "The configuration has changed since" in text
    assert "It became no request" not in text


def test_a_message_of_which_only_the_id_is_kept_offers_nothing_to_do(console: Served) -> None:
    """Run again, it would be rejected for what is not kept; and it is not what was sent in."""
    hidden = dict.fromkeys(("before", "after"))
    steps = ({**hidden, "step": "transformations.0.delete", "notes": [], "end": ""},)
    content = TraceContent(body=json.dumps({"messageId": "m7"}), steps=steps)
    console.traces.put([trace(result="filtered", content=content)], {}, {}, time.time())
    text = console.client().get("/live/event?connection=heap&offset=7").text
    assert "nothing but its id is kept" in text
    untrue = ("What was sent in", "Run again", "destination-router try", "takes it")
    assert [words for words in untrue if words in text] == []


def test_a_message_runs_again_with_todays_configuration(console: Served) -> None:
    """Nothing is sent, and it is written down."""
    console.traces.put([trace()], {}, {}, time.time())
    place = {"connection": "heap", "offset": "7"}
    text = console.client().post("/live/event/again", data=place).text
    assert "Nothing was sent" in text
    assert "https://heapanalytics.com/api/track" in text
    assert console.traces.actions(1)[0].what == "run again"
    assert console.client(VIEWER).post("/live/event/again", data=place).status_code == 403


def test_a_message_becomes_a_conformance_case(console: Served) -> None:
    """By the command that records them, in a process of its own."""
    console.traces.put([trace()], {}, {}, time.time())
    answer = console.client().post(
        "/live/event/case", data={"connection": "heap", "offset": "7"}, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "Order Completed" in str(answer.json())
    assert console.traces.actions(1)[0].what == "save as a case"


def test_nothing_that_a_sender_or_a_vendor_writes_is_run(console: Served) -> None:
    """XSS: through names, keys, ids, codes, details, answers, steps and notes."""
    evil = {**MESSAGE, "event": HTML, "properties": {HTML: HTML}, "messageId": HTML}
    content = TraceContent(
        body=json.dumps(evil),
        fields=(HTML,),
        steps=({"step": HTML, "before": evil, "after": None, "notes": [], "end": HTML},),
        requests=({"method": HTML, "url": HTML, "headers": {HTML: HTML}, "json": evil},),
        exchanges=(
            Exchange(
                at=1.0,
                seconds=1.0,
                request={"method": HTML, "url": HTML},
                status=400,
                answer=HTML,
                failure=HTML,
                outcome=HTML,
                code=HTML,
                detail=HTML,
            ),
        ),
        notes=({"code": HTML, "path": HTML, "detail": HTML},),
    )
    told = trace(event=HTML, message_id=HTML, source=HTML, code=HTML, detail=HTML, content=content)
    console.traces.put([told], {}, {}, time.time())
    client = console.client()
    pages = [client.get("/live").text, client.get(f"/live?event={HTML}").text]
    pages.append(client.get("/live/event?connection=heap&offset=7").text)
    place = {"connection": "heap", "offset": "7"}
    pages.append(client.post("/live/event/again", data=place).text)
    with reading(console, "after=0") as reader:
        until(lambda: "alert" in reader.text)
    for text in (*pages, reader.text):
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert "<img" not in text


def test_without_content_no_value_is_shown(console_of: Start) -> None:
    """Not even what was kept before; ids, codes and paths are."""
    console = console_of(content=False)
    bare = trace(8, content=TraceContent(fields=("properties.total", "userId")), event="")
    console.traces.put([trace(), bare], {}, {}, time.time())
    client = console.client()
    old = client.get("/live/event?connection=heap&offset=7").text
    new = client.get("/live/event?connection=heap&offset=8").text
    assert "ada@example.com" not in old + new
    assert "properties.total" in new
    assert "m7" in old
    assert "Order Completed" not in client.get("/live").text
    place = {"connection": "heap", "offset": "8"}
    assert client.post("/live/event/again", data=place).status_code == 409


def test_a_note_stands_once(console_of: Start) -> None:
    """Beside the step that left it; those of the destination stand below the steps."""
    console = console_of(LEAN)
    renamed = {
        "code": "renamed",
        "path": "properties.total",
        "detail": "it is called properties.sum",
    }
    other = {"code": "dropped", "path": "properties.x", "detail": "there is no place for it"}
    whole = lean(console)
    content = msgspec.structs.replace(whole.content, notes=(renamed, other))
    console.traces.put([msgspec.structs.replace(whole, content=content)], {}, {}, time.time())
    text = console.client().get("/live/event?connection=heap&offset=7").text
    assert text.count(">renamed<") == 1
    assert text.count(">dropped<") == 1
