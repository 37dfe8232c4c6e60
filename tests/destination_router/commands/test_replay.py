"""`replay`: what was delivered and is kept goes out again, to one connection, in order.

Modules: `commands/replay.py`, `eventlog/sqlite/delivered_events.py`, `delivery/replays.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import run_command

from destination_router.config.router_toml import load_config
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.retention import Retention
from destination_router.service.connections import connect
from heap_destination.simulator import create_simulator

TOML = """
[eventlog]
keep_delivered = "1h"
[[connections]]
name = "heap"
plugin = "heap"
settings = { appId = "11" }
[[connections]]
name = "other"
plugin = "heap"
settings = { appId = "12" }
"""


def track(number: int, user: str = "ada", event: str = "E", **more: Any) -> bytes:
    message = {"type": "track", "userId": user, "event": event, "messageId": f"m{number}", **more}
    return json.dumps(message).encode()


def identify(number: int, **traits: Any) -> bytes:
    message = {"type": "identify", "userId": "ada", "traits": traits, "messageId": f"m{number}"}
    return json.dumps(message).encode()


class Place:
    """A log with a router.toml beside it, and the vendor that its connections deliver to."""

    def __init__(self, folder: Path) -> None:
        self.toml = folder / "router.toml"
        self.toml.write_text(TOML)
        self.path = folder / "router.db"
        self.app = create_simulator()

    def _log(self) -> SqliteEventLog:
        return SqliteEventLog(
            self.path, ["heap", "other"], start="start", retention=Retention(keep_delivered=3600.0)
        )

    def deliver(
        self, *bodies: bytes, source: str | None = None, names: tuple[str, ...] = ("heap", "other")
    ) -> None:
        """Append events, and deliver all that waits."""

        async def main() -> None:
            log = self._log()
            try:
                await log.append(bodies, source)
                for config in load_config(self.toml).connections:
                    if config.name in names:
                        await self._until_done(log, config)
            finally:
                log.close()

        asyncio.run(main())

    async def _until_done(self, log: SqliteEventLog, config: Any) -> None:
        connection = connect(config)
        transport = httpx.ASGITransport(self.app)
        async with Sender(connection, DeliverySettings(), transport=transport) as sender:
            settings = DeliverySettings(linger=0.0)
            worker = Worker(connection, log, sender, dead_letters=log, settings=settings)
            running = asyncio.create_task(worker.run())
            while (await log.lags())[config.name].messages:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.005)
            await worker.stop(5.0)
            await running

    def requests(self, app_id: str = "11") -> list[tuple[str, list[str]]]:
        """The path of each request for an App ID, and the keys of its events."""

        async def ask() -> list[dict[str, Any]]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://heap") as client:
                answer: dict[str, Any] = (await client.get("/_simulator/requests")).json()
                return list(answer["requests"])

        found = []
        for row in asyncio.run(ask()):
            body = row["body"] if isinstance(row["body"], dict) else json.loads(row["body"])
            if str(body["app_id"]) == app_id:
                events = body.get("events", [body])
                found.append((row["path"], [str(e.get("idempotency_key", "")) for e in events]))
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    return Place(tmp_path)


def replay(place: Place, *options: str, connection: str = "heap", since: str = "1h") -> Any:
    return run_command(
        "replay",
        "--config",
        str(place.toml),
        "--connection",
        connection,
        "--since",
        since,
        *options,
    )


def test_events_go_out_again_in_order_to_that_connection_alone(place: Place) -> None:
    """With the keys that they had, so that the vendor keeps one of each; profiles stay."""
    place.deliver(identify(1, plan="free"), track(2, context={"traits": {"plan": "pro"}}))
    place.deliver(track(3, "eve"))
    before = len(place.requests())
    dry = replay(place, "--dry-run")
    assert (dry.returncode, "2 messages: would go to heap again" in dry.stderr) == (0, True)
    place.deliver()
    assert len(place.requests()) == before
    others = place.requests("12")
    done = replay(place)
    assert (done.returncode, "2 messages: go to heap again" in done.stderr) == (0, True)
    place.deliver()
    again = place.requests()[before:]
    assert [keys for _, keys in again] == [["m2", "m3"]]
    assert place.requests("12") == others


def test_profiles_go_out_again_only_where_that_is_asked_for(place: Place) -> None:
    """Then even what the vendor has exactly, with a warning."""
    place.deliver(identify(1, plan="free"))
    before = len(place.requests())
    told = replay(place, "--profiles")
    assert "Older values of profiles may overwrite newer ones." in told.stderr
    place.deliver()
    assert [path for path, _ in place.requests()[before:]] == ["/api/add_user_properties"]


def test_some_are_chosen_by_event_and_by_user(place: Place) -> None:
    """By either id of a user, and by any of several names."""
    place.deliver(track(1, event="A"), track(2, "eve", "B"), track(3, "eve", "C"))
    for options, count in (
        (("--event", "A", "--event", "B"), 2),
        (("--user", "eve"), 2),
        (("--user", "eve", "--event", "C"), 1),
    ):
        told = replay(place, *options, "--dry-run").stderr
        assert f"{count} message" in told


def test_neither_a_replay_nor_a_dead_letter_is_replayed(place: Place) -> None:
    """What was sent again is not there twice; what was never delivered was not delivered."""
    place.deliver(
        track(1), json.dumps({"type": "track", "userId": "u", "messageId": "m9"}).encode()
    )
    assert "1 message: go to heap again" in replay(place).stderr
    place.deliver()
    assert "1 message: would go" in replay(place, "--dry-run").stderr


def test_what_waits_is_not_sent_twice(place: Place) -> None:
    """It is delivered by itself."""
    place.deliver(track(1), names=())
    told = replay(place)
    assert (
        told.returncode,
        "Nothing of that was delivered, or would go out again." in told.stderr,
    ) == (1, True)


def test_a_replay_keeps_its_source(place: Place) -> None:
    """So that a connection that names its sources takes it again."""
    place.deliver(track(1), source="web")
    replay(place)

    async def read() -> list[tuple[str | None, str | None]]:
        log = SqliteEventLog(place.path, ["heap"])
        try:
            return [(e.source, e.replay) for e in await log.read("heap", -1, 9)]
        finally:
            log.close()

    assert asyncio.run(read()) == [("web", "events")]


def test_what_cannot_be_is_told(place: Place) -> None:
    """An unknown connection, a time that is none, a time of which nothing is kept."""
    place.deliver(track(1))
    assert "has no connection 'mixpanel'" in replay(place, connection="mixpanel").stderr
    assert "--since takes a time" in replay(place, since="soon").stderr
    gone = replay(place, "--until", "30m")
    assert (
        gone.returncode,
        "Nothing of that was delivered, or would go out again." in gone.stderr,
    ) == (1, True)
