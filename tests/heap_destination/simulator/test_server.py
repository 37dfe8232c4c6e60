"""The simulator behind a real uvicorn on a loopback port."""

import asyncio
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
import uvicorn
from waiting import PATIENCE

from heap_destination.simulator import Fault, SimulatedHeap, create_simulator
from heap_destination.simulator.__main__ import main
from heap_destination.simulator.server import HeapServer

EVENT = {"app_id": "11", "event": "e", "identity": "ann", "idempotency_key": "k"}

MODULE = [sys.executable, "-m", "heap_destination.simulator"]


class Served:
    """A simulator on a loopback port; a fault's delay lasts until `wake` is set."""

    def __init__(self) -> None:
        app = create_simulator(sleep=self._sleep)
        self.heap: SimulatedHeap = app.state.heap
        self.asleep = threading.Event()
        self.wake = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/api/track"
        # Without uvicorn's own logging, so that pytest sees what it logs.
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))

    async def _sleep(self, _: float) -> None:
        self.asleep.set()
        await asyncio.to_thread(self.wake.wait)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    with closing(served.listener) as listener:
        thread = threading.Thread(target=served.server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield served
        served.wake.set()
        served.server.should_exit = True
        thread.join()


@pytest.mark.parametrize("after", [False, True])
def test_a_dropped_connection_is_closed_without_an_answer(
    served: Served, caplog: pytest.LogCaptureFixture, *, after: bool
) -> None:
    """Not one byte comes back, nothing is logged as an error, and the next request works."""
    heap = served.heap
    heap.faults.add(Fault(drop_connection=True, after=after, next=1))
    with caplog.at_level(logging.WARNING), httpx.Client() as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post(served.url, json=EVENT)
        assert heap.stats()["events_stored"] == int(after)
        assert client.post(served.url, json=EVENT).text == "{}"
    assert heap.stats()["duplicates"] == int(after)
    assert [record.getMessage() for record in caplog.records] == []


def test_a_delayed_answer_makes_an_impatient_client_give_up(served: Served) -> None:
    """With `after`, Heap has acted all the same."""
    served.heap.faults.add(Fault(delay=60, after=True, next=1))
    timeout = httpx.Timeout(10, read=0.1)
    with httpx.Client(timeout=timeout) as client, pytest.raises(httpx.ReadTimeout):
        client.post(served.url, json=EVENT)
    assert served.asleep.wait(PATIENCE)
    assert served.heap.stats()["events_stored"] == 1


@pytest.mark.parametrize(
    ("options", "last"), [([], 429), (["--no-rate-limits"], 200)], ids=["limits", "no-limits"]
)
def test_the_module_serves_from_the_command_line(options: list[str], last: int) -> None:
    """It prints its address once it accepts connections, and enforces rate limits unless told."""
    command = [*MODULE, "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.fullmatch(
                r"Simulated Heap on (http://127\.0\.0\.1:\d+)\n", process.stdout.readline()
            )
            assert match is not None
            with httpx.Client(base_url=match[1]) as client:
                statuses = [client.post("/api/track", json=EVENT).status_code for _ in range(31)]
        finally:
            process.terminate()
    assert statuses == [200] * 30 + [last]


def test_answers_are_not_held_back_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm is off, or a client on a kept connection waits 40 ms for each answer."""
    listeners: list[socket.socket] = []
    monkeypatch.setattr(
        uvicorn.Server,
        "run",
        lambda _, sockets: listeners.extend(
            one for one in sockets if one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        ),
    )
    assert main(["--listen", "127.0.0.1:0"]) == 0
    assert len(listeners) == 1


def test_an_address_in_use_is_said_so() -> None:
    """In one line, with exit status 2."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        command = [*MODULE, "--listen", f"127.0.0.1:{port}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"Cannot listen on 127.0.0.1 port {port}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["9100", ":9100", "localhost:", "localhost:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With how to write one, as every command does."""
    command = [*MODULE, "--listen", text]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "write HOST:PORT" in result.stderr) == (2, True)


def serve(scope: dict[str, str], *received: dict[str, object]) -> list[str]:
    """Run the app on messages made by hand; answer the types of those it sent."""
    app = HeapServer(create_simulator().state.heap, asyncio.sleep)
    messages = iter(received)
    sent = []

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))

    asyncio.run(app(scope, receive, send))
    return sent


def test_a_client_that_leaves_amid_its_body_is_not_answered() -> None:
    """And half a body is not acted on."""
    half = {"type": "http.request", "body": b"{", "more_body": True}
    assert serve({"type": "http"}, half, {"type": "http.disconnect"}) == []


def test_a_websocket_is_turned_away() -> None:
    """Heap's API has none."""
    assert serve({"type": "websocket"}) == ["websocket.close"]
