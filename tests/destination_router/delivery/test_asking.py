"""A connection whose plugin is a program: asked by windows, and held where it is silent."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_program import runs, speaks
from waiting import PATIENCE

from destination_router.delivery.asking import UNAVAILABLE, Asking
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.programs.destination import Limits, ProgramHooks, load_program

SOON = DeliverySettings(first_wait=0.001, longest_wait=0.01, linger=0.0)


class Line:
    """A worker with a program for a plugin, and a vendor that notes what it gets."""

    def __init__(self, command: list[str], status: int = 200, **limits: Any) -> None:
        self.got: list[Any] = []
        self.letters: list[DeadLetter] = []
        self.status = status
        plugin = load_program(command, limits=Limits(**limits))
        assert isinstance(plugin.elsewhere, ProgramHooks)
        self.hooks = plugin.elsewhere
        self.connection = Connection("small", plugin, {})
        self.hooks.settle(self.connection.settings)
        self.hooks.program.stop()
        self.log = MemoryEventLog(["small"])
        self.now = 0.0
        self.sender: Sender
        self.worker: Worker

    def open(self, settings: DeliverySettings = SOON, max_age: float | None = None) -> None:
        """Make what belongs to an event loop."""
        transport = httpx.MockTransport(self._vendor)
        self.sender = Sender(self.connection, settings, transport=transport)
        self.worker = Worker(
            self.connection,
            self.log,
            self.sender,
            dead_letters=self,
            settings=settings,
            max_age=max_age,
            wall_clock=lambda: self.now,
        )

    async def put(self, letters: list[DeadLetter]) -> None:
        self.letters += letters

    def _vendor(self, request: httpx.Request) -> httpx.Response:
        self.got.append(json.loads(request.content))
        return httpx.Response(self.status, text="words")


@asynccontextmanager
async def working(
    line: Line, settings: DeliverySettings = SOON, max_age: float | None = None
) -> AsyncIterator[Line]:
    line.open(settings, max_age)
    running = asyncio.create_task(line.worker.run())
    yield line
    await line.worker.stop(5.0)
    await running
    await line.sender.close()


def tracks(*events: str, first: int = 0) -> list[bytes]:
    return [
        json.dumps(
            {"type": "track", "messageId": f"m-{n}", "userId": f"u-{n}", "event": event}
        ).encode()
        for n, event in enumerate(events, first)
    ]


def deliver(line: Line, *events: str) -> None:
    """Until every message has ended."""

    async def work() -> None:
        async with working(line):
            await line.log.append(tracks(*events))
            await line.log.wait_until_done()

    asyncio.run(asyncio.wait_for(work(), 60))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- another process is waited for
            await asyncio.sleep(0.005)


def test_messages_go_out(tmp_path: Path) -> None:
    """Many of them, each once; the process ends with the worker."""
    line = Line(speaks(tmp_path))
    pids: list[int] = []

    async def work() -> None:
        async with working(line):
            await line.log.append(tracks(*["E"] * 250))
            await line.log.wait_until_done()
            assert line.hooks.program.pid is not None
            pids.append(line.hooks.program.pid)

    asyncio.run(asyncio.wait_for(work(), 60))
    assert sorted(body["messageId"] for body in line.got) == sorted(f"m-{n}" for n in range(250))
    assert line.letters == []
    assert not runs(pids[0])


def test_only_a_message_that_kills_it_three_times_is_given_up(tmp_path: Path) -> None:
    """Its neighbours of the same exchange are delivered; its dead letter has no words of it."""
    deaths = tmp_path / "deaths"
    answer = f"""
        if asked["call"] == "map":
            if any(m["message"]["event"] == "bad" for m in asked["messages"]):
                if len(asked["messages"]) == 1:
                    open({str(deaths)!r}, "a").write("x")
                os._exit(9)
        return ordinary(asked)
    """
    line = Line(speaks(tmp_path, answer))
    deliver(line, *["E"] * 5, "bad", *["E"] * 5)
    assert sorted(body["event"] for body in line.got) == ["E"] * 10
    assert [(letter.message_id, letter.code) for letter in line.letters] == [
        ("m-5", "plugin_error")
    ]
    assert line.letters[0].detail == "the program ended with status 9, 3 times at this"
    assert deaths.read_text() == "xxx"


def test_one_that_dies_now_and_then_loses_nothing(tmp_path: Path) -> None:
    """Every message that it died at goes out in the end: two deaths are no verdict."""
    deaths = tmp_path / "deaths"
    answer = f"""
        if asked["call"] == "map":
            with open({str(deaths)!r}, "a+") as file:
                file.write("x")
                if file.tell() % 3:
                    os._exit(9)
        return ordinary(asked)
    """
    line = Line(speaks(tmp_path, answer))
    deliver(line, "E", "E", "E")
    assert len(line.got) == 3
    assert line.letters == []


@pytest.mark.parametrize(
    "answer",
    [
        "if asked['call'] == 'map' and not os.path.exists(GO): time.sleep(100)",
        "if asked['call'] == 'hello' and not os.path.exists(GO): os._exit(1)",
        "if asked['call'] == 'hello' and not os.path.exists(GO): print('?', flush=True)",
    ],
    ids=["silent", "dies at hello", "speaks nonsense"],
)
def test_a_connection_is_held_until_its_program_answers(tmp_path: Path, answer: str) -> None:
    """The event loop goes on meanwhile, nothing is lost, and it is seen while it lasts."""
    go = tmp_path / "go"
    go.touch()
    body = f"GO = {str(go)!r}\n{answer}\nreturn ordinary(asked)"
    line = Line(speaks(tmp_path, body), call=0.2)
    go.unlink()

    async def work() -> None:
        async with working(line):
            await line.log.append(tracks("E"))
            await until(lambda: line.worker.stats.holds.get(UNAVAILABLE))
            assert line.worker.stats.held_since is not None
            go.touch()
            # Of a silent one, the one message may have been given up meanwhile: it was alone.
            await line.log.wait_until_done()
            await line.log.append(tracks("E"))
            await line.log.wait_until_done()
            assert line.worker.stats.holds == {UNAVAILABLE: False}

    asyncio.run(asyncio.wait_for(work(), 60))
    assert line.got


def test_one_that_never_answers_keeps_nobody_from_stopping(tmp_path: Path) -> None:
    """A worker that is told to stop stops, and nothing is given up for it."""
    answer = "if asked['call'] == 'map': time.sleep(100)\nreturn ordinary(asked)"
    line = Line(speaks(tmp_path, answer), call=50)

    async def work() -> None:
        async with working(line):
            await line.log.append(tracks("E"))
            await until(lambda: line.hooks.program.pid)

    asyncio.run(asyncio.wait_for(work(), 30))
    assert line.hooks.program.pid is None
    assert line.letters == line.got == []


PACKS = """
if asked["call"] == "pack":
    PACK
    ids = [i for request in asked["requests"] for i in request["messageIds"]]
    events = [request["json"] for request in asked["requests"]]
    bulk = {"url": asked["requests"][0]["url"], "json": {"events": events}, "messageIds": ids,
            "items": [[i] for i in ids]}
    return {"id": asked["id"], "value": [bulk]}
if asked["call"] == "on_response":
    ANSWER
    return {"id": asked["id"], "value": {"m-1": {"result": "rejected", "code": "bad"}}}
return ordinary(asked)
"""


def test_it_packs_and_reads_answers(tmp_path: Path) -> None:
    """A window is one bulk, and its answer names the message at fault."""
    answer = PACKS.replace("PACK", "pass", 1).replace("ANSWER", "pass", 1)
    line = Line(speaks(tmp_path, answer, ("pack", "on_response")))
    deliver(line, "E", "E", "E")
    assert [len(body["events"]) for body in line.got] == [3]
    assert [(letter.message_id, letter.code) for letter in line.letters] == [("m-1", "bad")]


def test_one_that_dies_packing_and_reading_answers(tmp_path: Path) -> None:
    """A window goes out unpacked, and the host reads the answers itself."""
    answer = PACKS.replace("PACK", "os._exit(1)", 1).replace("ANSWER", "os._exit(1)", 1)
    line = Line(speaks(tmp_path, answer, ("pack", "on_response")))
    deliver(line, "E", "E")
    assert sorted(body["messageId"] for body in line.got) == ["m-0", "m-1"]
    assert line.letters == []


@pytest.mark.parametrize("call", ["hello", "map", "pack"])
def test_what_a_silent_program_was_asked_about_expires(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    """As what waits elsewhere; once the program answers, it gets none of it, and goes on."""
    go = tmp_path / "go"
    go.touch()
    answer = f"""
while asked["call"] == {call!r} and not os.path.exists({str(go)!r}):
    time.sleep(0.005)
{PACKS.replace("PACK", "pass", 1).replace("ANSWER", "pass", 1)}"""
    line = Line(speaks(tmp_path, answer, ("pack",)), call=50)
    go.unlink()

    async def work() -> None:
        async with working(line, max_age=10.0):
            await line.log.append(tracks(*["old"] * 250))
            await until(lambda: line.hooks.program.pid)
            await until(lambda: line.worker.stats.waiting == (250 if call == "pack" else 0))
            assert line.letters == []
            line.now = 10.0
            await until(lambda: len(line.letters) == 250)
            await line.log.wait_until_done()
            go.touch()
            await line.log.append(tracks("new", "new", first=1000))
            await line.log.wait_until_done()
            assert line.worker.stats.waiting == 0
            assert line.worker.stats.received == 252

    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(work(), 60))
    assert [event["event"] for body in line.got for event in body["events"]] == ["new", "new"]
    assert {letter.code for letter in line.letters} == {"expired"}
    assert {letter.message_id for letter in line.letters} == {f"m-{n}" for n in range(250)}
    told = [each for each in caplog.records if each.message == "events_expired"]
    assert sum(each.__dict__["count"] for each in told) == 250


def test_only_what_is_too_old_leaves_a_window_that_is_packed(tmp_path: Path) -> None:
    """The rest of it is packed anew; who waits behind one that has gone goes next."""
    go = tmp_path / "go"
    answer = f"""
while asked["call"] == "pack" and not os.path.exists({str(go)!r}):
    time.sleep(0.005)
{PACKS.replace("PACK", "pass", 1).replace("ANSWER", "pass", 1)}"""
    line = Line(speaks(tmp_path, answer, ("pack",)), call=50)
    settings = DeliverySettings(first_wait=0.001, longest_wait=0.01, linger=600.0, window=3)

    async def work() -> None:
        async with working(line, settings, max_age=10.0):
            await line.log.append(tracks("old"))
            await until(lambda: line.worker.stats.waiting)
            line.now = 5.0
            await line.log.append(tracks("young", "young", first=1))  # the window is full
            behind = tracks("behind", "behind", "behind", first=3)
            await line.log.append([re.sub(rb"u-\d", b"u-0", each) for each in behind])
            await until(lambda: line.worker.stats.waiting == 6)
            line.now = 10.0
            await until(lambda: line.letters)
            go.touch()
            await line.log.wait_until_done()

    asyncio.run(asyncio.wait_for(work(), 60))
    assert [letter.message_id for letter in line.letters] == ["m-0"]
    sent = [(event["event"], event["messageId"]) for body in line.got for event in body["events"]]
    assert sorted(sent) == [
        *[("behind", f"m-{n}") for n in (3, 4, 5)],
        *[("young", f"m-{n}") for n in (1, 2)],
    ]


def test_what_a_broken_worker_asked_is_forgotten(tmp_path: Path) -> None:
    """A worker that fails between asking and using starts again; its answers are not kept."""
    line = Line(speaks(tmp_path))

    async def break_off() -> None:
        asking = Asking(line.connection, SOON)
        questions = asking.noted([lambda: line.connection.decide(tracks("E")[0])])
        await asking.answer(questions)
        assert len(line.hooks._known) == 1
        await asking.close()

    for _ in range(3):
        asyncio.run(asyncio.wait_for(break_off(), 60))
        assert not line.hooks._known
