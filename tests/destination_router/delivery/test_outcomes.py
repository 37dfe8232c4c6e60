"""What a plugin says of each message of a bulk is what becomes of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgspec

from destination_router import HttpRequest, HttpResponse, Message, Outcome, hookimpl
from destination_router.delivery.dead_letters import DeadLetter
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import check_destination

URL = "https://vendor.example/events"
KEY = "s3cret-key"
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class Vendor:
    """Takes bulks of users, refuses those that it throttles, and tells when it got what."""

    def __init__(self, throttled: str = "") -> None:
        self.throttled = throttled
        self.got: list[tuple[float, list[str]]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        now = asyncio.get_running_loop().time()
        if self.throttled in body["users"]:
            self.throttled = ""
            return httpx.Response(429, text=f"slow down, {body['key']}")
        if "bad" in body["users"]:
            return httpx.Response(400, text=f"{body['key']} sent a bad user")
        self.got.append((now, body["users"]))
        return httpx.Response(200)


class Plugin:
    """Reads the vendor's answers: the slow user waits, the bad one is rejected."""

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        key = {"type": "string", "writeOnly": True}
        return {"type": "object", "additionalProperties": False, "properties": {"key": key}}

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Message, settings: Any) -> list[HttpRequest]:
        return [HttpRequest(url=URL, json={"key": settings["key"], "users": [message.user_id]})]

    @hookimpl
    def pack(self, requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:
        ids = tuple(message_id for request in requests for message_id in request.message_ids)
        users = [user for request in requests for user in request.json["users"]]
        body = {"key": settings["key"], "users": users}
        return [HttpRequest(url=URL, json=body, message_ids=ids)] if requests else []

    @hookimpl
    def on_response(self, request: HttpRequest, response: HttpResponse) -> dict[str, Outcome]:
        names = dict(zip(request.message_ids, request.json["users"], strict=True))
        if response.status == 200:
            return dict.fromkeys(names, Outcome.delivered())
        verdicts = {
            "slow": Outcome.retry(after=30.0, code="throttled"),
            "bad": Outcome.rejected("bad_user", response.text),
        }
        again = Outcome.retry(after=0)
        return {message_id: verdicts.get(name, again) for message_id, name in names.items()}


class Letters:
    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    async def put(self, letters: list[DeadLetter]) -> None:
        self.kept += letters


async def deliver(vendor: Vendor, wire: list[bytes]) -> list[DeadLetter]:
    log = MemoryEventLog(["c"])
    plugin = check_destination(Plugin(), "plugin", "plugin 1.0")
    connection = Connection("c", plugin, {"key": KEY})
    letters = Letters()
    async with Sender(connection, transport=httpx.MockTransport(vendor.answer)) as sender:
        worker = Worker(connection, log, sender, dead_letters=letters, chance=lambda: 0.5)
        working = asyncio.create_task(worker.run())
        await log.append(wire)
        await log.wait_until_done()
        await worker.stop(0.0)
        await working
    return letters.kept


def track(user: str) -> dict[str, Any]:
    return {"type": "track", "event": "E", "userId": user}


def test_only_the_throttled_user_waits(
    in_virtual_time: Run, wire: Callable[..., list[bytes]]
) -> None:
    """The neighbours of a user who has to wait go out again at once, and so does what is new."""

    async def main() -> None:
        vendor = Vendor(throttled="slow")
        names = ["ada", "slow", "bob", "slow"]
        assert not await deliver(vendor, wire(*map(track, names)))

        (early, neighbours), (late, waited) = vendor.got
        assert (neighbours, waited) == (["ada", "bob"], ["slow", "slow"])
        assert (early < 1, 30 <= late < 40) == (True, True)

    in_virtual_time(main)


def test_a_vendor_that_repeats_the_key_does_not_give_it_away(
    in_virtual_time: Run, wire: Callable[..., list[bytes]]
) -> None:
    """A secret is hidden in a dead letter, in the vendor's words too."""

    async def main() -> None:
        vendor = Vendor()
        (letter,) = await deliver(vendor, wire(track("ada"), track("bad")))

        assert [names for _, names in vendor.got] == [["ada"]]
        assert (letter.code, letter.detail) == ("bad_user", "*** sent a bad user")
        assert KEY not in str(letter)

    in_virtual_time(main)
