"""A router as an object, in the event loop of its host.

Modules: `hosting/host_router.py`, `connection_stats.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from waiting import PATIENCE, until

from destination_router import ConfigurationError, ConnectionStats, Router, parse_message
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.interface import LogFileError
from destination_router.eventlog.opening import open_log
from destination_router.hosting import host_router
from destination_router.hosting.connection_stats import connection_stats

EVENT = {"type": "track", "userId": "ada", "event": "Program Published"}


def events_at(vendor: str) -> list[Any]:
    events: list[Any] = httpx.get(f"{vendor}/_simulator/events").json()["events"]
    return events


async def sent(app: Any, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        return await client.request("POST" if more else "GET", path, **more)


def test_events_are_delivered_to_every_connection(router_toml: Path, vendor: str) -> None:
    """In any form; with ids and times where they have none."""

    async def host() -> None:
        async with Router.from_config(router_toml) as router:
            assert await router.append([EVENT, parse_message({**EVENT, "messageId": "m-1"})]) == 2
            assert await router.append([]) == 0
            assert await router.drain(30)
            assert await router.behind() == {"heap-production": 0, "heap-staging": 0}
            stats: dict[str, ConnectionStats] = router.stats()
        assert {(s.state, s.received, s.delivered, s.waiting) for s in stats.values()} == {
            ("sending", 2, 2, 0)
        }

    asyncio.run(host())
    assert sorted(event["app_id"] for event in events_at(vendor)) == ["11", "11", "22", "22"]


def test_what_cannot_be_taken_is_told_and_nothing_is_taken(router_toml: Path) -> None:
    """By its place; a batch of a thousand as well as one of two."""

    async def host() -> None:
        async with Router.from_config(router_toml) as router:
            for many in (1, 1000):
                with pytest.raises(ValueError, match=f"message {many}: missing_identity: give"):
                    await router.append([EVENT] * many + [{"type": "track"}])
            with pytest.raises(ValueError, match="message 0: invalid_json"):
                await router.append([b"{"])
            assert set((await router.behind()).values()) == {0}

    asyncio.run(host())


def test_a_connection_that_is_paused_waits_until_it_is_resumed(router_toml: Path) -> None:
    """Its neighbour goes on, and the pause is kept over a restart."""

    async def first() -> None:
        async with Router.from_config(router_toml) as router:
            await router.pause("heap-staging")
            await until_state(router, "paused")
            await router.append([EVENT])
            await until_behind(router, {"heap-production": 0, "heap-staging": 1})
            assert not await router.drain(0.05)

    async def second() -> None:
        async with Router.from_config(router_toml) as router:
            await until_state(router, "paused")
            await router.resume("heap-staging")
            assert await router.drain(30)
            with pytest.raises(ValueError, match="there is no connection 'heap'; name one of"):
                await router.pause("heap")

    asyncio.run(first())
    asyncio.run(second())


async def until_state(router: Router, state: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while router.stats()["heap-staging"].state != state:  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.01)


async def until_behind(router: Router, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await router.behind() != wanted:  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.01)


def test_the_gateway_is_mounted_in_the_hosts_app(router_toml: Path, vendor: str) -> None:
    """Under any path; before the router works, and after, it says that it does not."""
    router = Router.from_config(router_toml)
    app = Starlette(routes=[Mount("/events", router.asgi_app())])
    key = {"auth": ("a-key", "")}

    async def host() -> None:
        assert (await sent(app, "/events/health")).status_code == 503
        async with router:
            answer = await sent(app, "/events/v1/track", json=EVENT, **key)
            assert (answer.status_code, answer.text) == (200, "ok")
            refused = await sent(app, "/events/v1/track", json=EVENT, auth=("other", ""))
            assert refused.status_code == 401
            assert (await sent(app, "/events/ready")).json() == {"ready": True}
            assert "router_" in (await sent(app, "/events/metrics")).text
            assert await router.drain(30)
        assert (await sent(app, "/events/v1/track", json=EVENT, **key)).status_code == 503

    asyncio.run(host())
    assert len(events_at(vendor)) == 2


def test_a_router_that_has_failed_takes_nothing(
    router_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would deliver it: a sender hears 503, and keeps its events."""
    found_damaged = threading.Event()

    def opened(*about: Any, **more: Any) -> Any:
        log = open_log(*about, **more)
        clean = log.clean

        async def cleaned() -> int:
            if found_damaged.is_set():
                raise LogFileError("the log is damaged")
            return await clean()

        monkeypatch.setattr(log, "clean", cleaned)
        return log

    monkeypatch.setattr(host_router, "open_log", opened)
    router = Router.from_config(router_toml)
    app = router.asgi_app()
    answers: list[httpx.Response] = []

    async def host() -> None:
        async with router:
            key = {"auth": ("a-key", "")}
            answers.append(await sent(app, "/v1/track", json=EVENT, **key))
            found_damaged.set()
            async with asyncio.timeout(PATIENCE):
                while (await sent(app, "/ready")).status_code == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            answers.append(await sent(app, "/v1/track", json=EVENT, **key))

    with pytest.raises(LogFileError, match="damaged"):
        asyncio.run(host())
    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[-1].headers["retry-after"] == "1"


def test_a_server_of_its_own_starts_and_ends_the_router(router_toml: Path) -> None:
    """By its lifespan."""
    router = Router.from_config(router_toml)
    app = router.asgi_app()
    told: list[str] = []

    async def host() -> None:
        server: asyncio.Queue[Any] = asyncio.Queue()

        async def send(message: Any) -> None:
            told.append(message["type"])

        living = asyncio.create_task(app({"type": "lifespan"}, server.get, send))
        await server.put({"type": "lifespan.startup"})
        async with asyncio.timeout(PATIENCE):
            while not told:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)
        assert (await sent(app, "/health")).status_code == 200
        await server.put({"type": "lifespan.shutdown"})
        await living

    asyncio.run(host())
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_everything_that_is_wrong_with_the_file_is_told_at_once(tmp_path: Path) -> None:
    """As `check` tells it."""
    path = tmp_path / "router.toml"
    path.write_text(
        f'[eventlog]\nurl = "sqlite:///{tmp_path}/r.db"\n[[connections]]\nname = "a"\n'
        'plugin = "haep"\n[[connections]]\nname = "b"\nplugin = "heap"\n'
        'settings = { appId = "x" }\n'
    )

    async def host(where: Path) -> None:
        async with Router.from_config(where):
            pass

    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(host(path))
    assert len(caught.value.problems) == 2
    assert "did you mean 'heap'" in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        asyncio.run(host(tmp_path / "none.toml"))


def test_one_router_delivers_from_a_log(router_toml: Path) -> None:
    """Two of them would deliver everything twice; once the first has ended, the next may."""

    async def host() -> None:
        async with Router.from_config(router_toml):
            with pytest.raises(LogFileError, match="delivers from this log already"):
                async with Router.from_config(router_toml):
                    pass
        async with Router.from_config(router_toml):
            pass

    asyncio.run(host())


def test_the_log_hears_how_long_a_request_may_take(
    router_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kafka, no request may outlast the process's lease."""
    heard: list[float] = []

    def opened(*about: Any, request_seconds: float, **more: Any) -> Any:
        heard.append(request_seconds)
        return open_log(*about, request_seconds=request_seconds, **more)

    monkeypatch.setattr(host_router, "open_log", opened)
    text = router_toml.read_text()
    assert "[delivery]" in text
    router_toml.write_text(text.replace("[delivery]", '[delivery]\ntimeout = "7s"'))

    async def host() -> None:
        async with Router.from_config(router_toml):
            pass

    asyncio.run(host())
    assert heard == [7.0]


def test_a_router_is_used_while_it_works(router_toml: Path) -> None:
    """And entered once."""
    router = Router.from_config(router_toml)
    with pytest.raises(RuntimeError, match="use it inside `async with`"):
        router.stats()

    async def host() -> None:
        async with router:
            with pytest.raises(RuntimeError, match="before the router is entered"):
                router.asgi_app()
        with pytest.raises(RuntimeError, match="entered once"):
            await router.__aenter__()

    asyncio.run(host())


SLOW_PLUGIN = """
import time
from destination_router import hookimpl

time.sleep(1.0)


@hookimpl
def settings_schema():
    return {"type": "object", "additionalProperties": False, "properties": {}}


@hookimpl
def on_track():
    return []


on_identify = on_track
"""


@pytest.fixture
def slow_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A router.toml whose plugin takes a second to be imported."""
    (tmp_path / "slow_destination.py").write_text(SLOW_PLUGIN)
    info = tmp_path / "slow_destination-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-destination\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[destination_router]\nslow = slow_destination\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "router.toml"
    url = f"sqlite:///{tmp_path}/router.db"
    path.write_text(f'[eventlog]\nurl = "{url}"\n[[connections]]\nname = "slow"\nplugin = "slow"\n')
    return path


def test_the_hosts_loop_does_not_wait_for_a_plugins_start(slow_toml: Path) -> None:
    """It turns hundreds of times meanwhile."""

    async def host() -> int:
        starting = asyncio.create_task(Router.from_config(slow_toml).__aenter__())
        turns = 0
        while not starting.done():
            await asyncio.sleep(0.001)
            turns += 1
        router = await starting
        await router.__aexit__(None, None, None)
        return turns

    assert asyncio.run(host()) > 50


def test_a_start_that_is_cancelled_leaves_nothing_behind(slow_toml: Path) -> None:
    """The next one gets the log."""

    async def host() -> None:
        starting = asyncio.create_task(Router.from_config(slow_toml).__aenter__())
        while not any(t.name.startswith("router-opening") for t in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        until(lambda: not any(t.name.startswith("router-opening") for t in threading.enumerate()))
        async with Router.from_config(slow_toml):
            pass

    asyncio.run(host())


def test_the_state_says_what_keeps_a_connection_from_sending() -> None:
    """A person first, then the vendor's refusal, then its silence."""
    stats = DeliveryStats(circuit="open", last_failure="no answer within 30 s")
    assert connection_stats(None).state == "sending"
    assert (connection_stats(stats).state, connection_stats(stats).detail) == (
        "silent",
        "no answer within 30 s",
    )
    stats.held_since, stats.held_detail = time.time(), "no such key"
    assert (connection_stats(stats).state, connection_stats(stats).detail) == (
        "held",
        "no such key",
    )
    stats.paused = True
    assert connection_stats(stats).state == "paused"
