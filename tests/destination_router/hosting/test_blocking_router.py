"""A router for a host without an event loop: one thread, which ends with the block."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import until

from destination_router import BlockingRouter, ConfigurationError
from destination_router.service.event_loop import EventLoop

pytestmark = pytest.mark.usefixtures("leaves_nothing")

EVENT = {"type": "track", "userId": "ada", "event": "Program Published"}


@pytest.fixture
def leaves_nothing(vendor: str) -> Iterator[None]:
    """Neither a thread nor an event loop that is open, beside the simulated vendor's."""
    assert vendor
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)
    gc.collect()
    open_loops = [
        each
        for each in gc.get_objects()
        if isinstance(each, asyncio.AbstractEventLoop) and not each.is_closed()
    ]
    assert all(loop.is_running() for loop in open_loops)


def test_a_batch_job_delivers_and_ends(router_toml: Path, vendor: str) -> None:
    """From any thread; a generator is read where it was made."""
    with BlockingRouter.from_config(router_toml) as router:
        assert router.append({**EVENT, "messageId": f"m-{n}"} for n in range(500)) == 500
        appended: list[int] = []
        other = threading.Thread(target=lambda: appended.append(router.append([EVENT])))
        other.start()
        other.join()
        assert router.drain(60)
        assert set(router.behind().values()) == {0}
        assert {each.delivered for each in router.stats().values()} == {501}
    assert appended == [1]
    assert len(httpx.get(f"{vendor}/_simulator/events").json()["events"]) == 1002


def test_a_start_that_fails_raises_and_leaves_nothing(tmp_path: Path) -> None:
    """What is wrong is told as by `Router`."""
    path = tmp_path / "router.toml"
    path.write_text("[[connections]]\n")
    with pytest.raises(ConfigurationError), BlockingRouter.from_config(path):
        pass


def test_a_block_that_raises_ends_the_router(router_toml: Path) -> None:
    """What was taken is delivered after the next start."""

    def job() -> None:
        with BlockingRouter.from_config(router_toml) as router:
            router.pause("heap-staging")
            router.append([EVENT])
            raise KeyError

    with pytest.raises(KeyError):
        job()
    with BlockingRouter.from_config(router_toml) as router:
        router.resume("heap-staging")
        assert router.drain(60)


def test_what_the_host_does_wrong_is_told(router_toml: Path) -> None:
    """Outside of the block there is no router, and it is entered once."""
    router = BlockingRouter.from_config(router_toml)
    with pytest.raises(RuntimeError, match="use it inside `with`"):
        router.stats()
    with router, pytest.raises(ValueError, match="message 0: missing_identity"):
        router.append([{"type": "track"}])
    with pytest.raises(RuntimeError, match="entered once"):
        router.__enter__()
    with pytest.raises(RuntimeError, match="use it inside `with`"):
        router.append([EVENT])


def test_it_works_beside_an_event_loop(router_toml: Path) -> None:
    """As in a notebook."""

    async def host() -> Any:
        with BlockingRouter.from_config(router_toml) as router:
            return router.append([EVENT])

    assert asyncio.run(host()) == 1


def test_a_name_that_nobody_answers_does_not_hold_up_its_end(router_toml: Path) -> None:
    """Its loop looks names up as the commands' does; test_event_loop.py shows what that is for."""
    with BlockingRouter.from_config(router_toml) as router:
        assert isinstance(router._loop, EventLoop)
