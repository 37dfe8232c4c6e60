"""Looking up names beside the event loop.

Modules: `service/event_loop.py`, `threads.py`.
"""

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
import threading
import weakref
from functools import partial

import pytest
from waiting import PATIENCE, until

from destination_router import threads
from destination_router.service.event_loop import run_in_loop
from destination_router.threads import in_thread

NEVER = """
import asyncio, socket, threading
from destination_router.service.event_loop import run_in_loop

asked = threading.Event()

def never(*_, **__):
    asked.set()
    threading.Event().wait()

socket.getaddrinfo = never

async def main():
    looking = asyncio.create_task(asyncio.open_connection("vendor.invalid", 443))
    await asyncio.to_thread(asked.wait)
    looking.cancel()

run_in_loop(main())
print("ended")
"""


def test_a_name_server_that_never_answers_does_not_hold_up_the_end() -> None:
    """The process ends although the look-up goes on."""
    done = subprocess.run(
        [sys.executable, "-c", NEVER], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_who_asks_for_the_same_name_shares_one_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is given up does not spoil it for the others; the next one asks anew."""
    asked: list[object] = []
    go_on = threading.Event()
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]

    def look_up(*about: object) -> object:
        asked.append(about)
        assert go_on.wait(PATIENCE)
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        looking = [asyncio.create_task(loop.getaddrinfo("v.example", 443)) for _ in range(3)]
        await asyncio.sleep(0)
        looking[0].cancel()
        go_on.set()
        assert await asyncio.gather(*looking[1:]) == [answer, answer]
        assert await loop.getaddrinfo("v.example", 443) == answer

    run_in_loop(run())
    assert len(asked) == 2


def test_what_a_thread_raises_is_raised_where_it_is_waited_for() -> None:
    """And nowhere else."""

    async def run() -> None:
        with pytest.raises(ValueError, match="no"):
            await in_thread(lambda: int("no"), "test")
        with pytest.raises(RuntimeError):
            await in_thread(lambda: next(iter(())), "test")

    run_in_loop(run())


def test_one_thread_does_one_work_after_another_and_ends_when_none_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fails is raised where it is waited for; another thread does what comes later."""
    monkeypatch.setattr(threads, "_IDLE_SECONDS", 0.01)

    def there() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name == "one-of-the-tests"]

    async def run() -> None:
        one = threads.OneThread("one-of-the-tests")
        done: list[int] = []
        for _ in range(3):
            await asyncio.gather(*(one.run(partial(done.append, n)) for n in range(50)))
            with pytest.raises(ValueError, match="no"):
                await one.run(lambda: int("no"))
            until(lambda: not there())
        assert done == [*range(50)] * 3

    run_in_loop(run())


def test_a_thread_that_the_system_refuses_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise all later work would wait for a thread that is not there."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        one = threads.OneThread("one-of-the-tests")
        done: list[str] = []
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start"):
                await one.run(partial(done.append, "first"))
        await one.run(partial(done.append, "second"))
        assert done == ["second"]

    run_in_loop(run())


def test_what_the_work_had_in_hand_goes_with_what_it_raised() -> None:
    """Megabytes would stay until somebody looks for circles among what is held."""

    class Held:
        pass

    gone: list[weakref.ref[Held]] = []

    def fail() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        raise ValueError("no")

    async def run() -> None:
        with contextlib.suppress(ValueError):
            await in_thread(fail, "test")
        await asyncio.sleep(0)  # the loop itself holds what woke this up
        until(lambda: gone[0]() is None)

    gc.disable()
    try:
        run_in_loop(run())
    finally:
        gc.enable()
