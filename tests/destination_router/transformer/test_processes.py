"""`--workers N`: they share the work, and none is left when the first of them is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from transformer_process import Transformer
from waiting import PATIENCE, until

from destination_router.transformer.processes import SharedListener

Start = Callable[..., Transformer]
ANONYMOUS = {"type": "track", "anonymousId": "a-1", "event": "E"}


def of_several(start: Start, *options: str) -> Transformer:
    running = start("--workers", "2", *options)
    until(lambda: len(running.workers()) == 2)
    return running


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_several_processes_answer_and_one_that_dies_is_replaced(
    start: Callable[..., Transformer],
) -> None:
    """As many as asked for, before and after one is killed; none is left after the end."""
    running = of_several(start)
    before = running.workers()
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(running.workers()) == 2 and killed not in running.workers())
    after = running.workers()

    assert [one["statusCode"] for one in running.ask(ANONYMOUS)] == [200]
    log = running.stop()

    assert [(line["event"], line["status"]) for line in log] == [("worker_ended", -9)]
    assert running.process.returncode == 0
    assert all(map(is_gone, before | after))


def test_all_that_it_says_is_json_whatever_dies(start: Start) -> None:
    """Python's own process beside the workers, too: that it is started again is a warning."""
    running = of_several(start)
    (beside,) = running.children(b"resource_tracker")
    os.kill(beside, signal.SIGKILL)
    until(lambda: not running.children(b"resource_tracker"))  # the dead have no command line
    killed = min(running.workers())
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(running.workers()) == 2 and killed not in running.workers())

    log = running.stop()

    assert {line["event"] for line in log} == {"worker_ended", "python_warning"}


def test_workers_end_with_who_started_them(start: Start) -> None:
    """Also where that one is killed and can tell nobody: else the port would stay taken."""
    running = of_several(start)
    address = httpx.URL(running.url)
    workers = running.workers()

    running.process.kill()
    running.process.communicate(timeout=PATIENCE)

    until(lambda: all(map(is_gone, workers)))
    socket.create_server((address.host, address.port or 0)).close()


@pytest.fixture
def stopped() -> Iterator[Callable[[int], contextlib.AbstractContextManager[None]]]:
    """Hold a process up for as long as a block lasts."""

    @contextlib.contextmanager
    def hold(pid: int) -> Iterator[None]:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return hold


def test_a_request_goes_to_whichever_worker_is_idle(
    start: Start, stopped: Callable[[int], contextlib.AbstractContextManager[None]]
) -> None:
    """A client that would keep its connection open binds itself to no worker."""
    running = of_several(start)
    running.ask(ANONYMOUS)
    with httpx.Client(base_url=running.url, timeout=PATIENCE) as client:
        for held_up in running.workers():
            with stopped(held_up):
                statuses = {client.get("/health").status_code for _ in range(4)}
            assert statuses == {200}


def test_every_worker_offers_the_same_features(
    start: Start, stopped: Callable[[int], contextlib.AbstractContextManager[None]]
) -> None:
    """rudder-server asks any of them, every few seconds."""
    running = of_several(start)
    running.ask(ANONYMOUS)
    answers = []
    for held_up in running.workers():
        with stopped(held_up):
            answers.append(httpx.get(f"{running.url}/features", timeout=PATIENCE).json())
    assert answers[0] == answers[1]
    assert answers[0]["routerTransform"]["HEAP"] is True


def test_a_listener_gives_one_connection_at_a_time() -> None:
    """An event loop accepts until none waits: it shall look again, after its neighbours."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        listener = SharedListener(fileno=opened.detach())
    address = listener.getsockname()
    listener.settimeout(0)
    with contextlib.ExitStack() as open_until_the_end:
        open_until_the_end.enter_context(listener)
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                listener.accept()
        for _ in range(2):
            open_until_the_end.enter_context(socket.create_connection(address))
        for _ in range(2):
            open_until_the_end.enter_context(listener.accept()[0])
            with pytest.raises(BlockingIOError):
                listener.accept()


PROXIED = {
    "endpoint": "https://heapanalytics.com/api/track",
    "method": "POST",
    "body": {"JSON": {"app_id": "11", "event": "E", "identity": "u"}},
    "metadata": {"jobId": 1},
    "destinationConfig": {"appId": "11"},
}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_to_be_stopped_is_no_failure(start: Start, workers: str, number: int) -> None:
    """By Ctrl-C, which every process gets, or by a service manager: it says nothing, status 0."""
    running = start("--workers", workers)
    running.ask(ANONYMOUS)
    for worker in {running.process.pid, *running.workers()}:
        os.kill(worker, number)

    _, log = running.process.communicate(timeout=PATIENCE)

    assert (running.process.returncode, log) == (0, "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_under_way_is_answered_before_the_end(
    start: Start, tmp_path: Path, workers: str
) -> None:
    """SIGTERM takes no new connection, and lets what a vendor has been sent come to its answer."""
    with (
        socket.create_server(("127.0.0.1", 0)) as slow,
        ThreadPoolExecutor() as threads,
    ):
        config = tmp_path / "router.toml"
        config.write_text(
            '[[connections]]\nname = "d1"\nplugin = "heap"\n'
            f'[delivery]\norigins = {{"*" = "http://127.0.0.1:{slow.getsockname()[1]}"}}\n'
        )
        running = start("--workers", workers, "--config", str(config))
        url = f"{running.url}/v0/destinations/heap/proxy"
        answer = threads.submit(httpx.post, url, json=PROXIED, timeout=PATIENCE)
        vendor, _ = slow.accept()

        running.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(running.url))
        with vendor:
            vendor.recv(65536)
            vendor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        assert answer.result().json()["output"]["status"] == 200
        running.process.communicate(timeout=PATIENCE)


def refuses(url: str) -> bool:
    address = httpx.URL(url)
    try:
        socket.create_connection((address.host, address.port or 0)).close()
    except OSError:
        return True
    return False


def test_a_port_that_is_taken_is_told_at_once() -> None:
    """By its address, and no worker is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "destination_router.commands.cli", "transformer"]
        done = subprocess.run(
            [*command, "--listen", address, "--workers", "2"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert done.returncode == 2
    assert address in done.stderr
    assert "Traceback" not in done.stderr
