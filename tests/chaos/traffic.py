"""Senders of a chaos run: each has users of its own and sends on until the gateway has it all."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import httpx
import msgspec

POISON = "POISON"
"""What makes the vendor refuse a message, and every bulk that holds one."""

POLL = 0.02


class Sent(msgspec.Struct):
    """What the gateway accepted: the truth that the vendor is held against.

    Attributes:
        events: the message ids of each user's events, in the order they were sent.
        profiles: the last profile of each user.
        poisoned: the ids of messages that can never be delivered, and why.
        retried: requests that had to be sent again.
        repeated: the ids of their messages, which the log may hold more than once.
    """

    events: dict[str, list[str]] = {}
    profiles: dict[str, int] = {}
    poisoned: dict[str, str] = {}
    accepted: int = 0
    retried: int = 0
    repeated: set[str] = set()


class Traffic:
    """Makes events and sends them.

    Args:
        seed: the same makes the same events.
        events: how many in all.
        senders: how many send at the same time.
        write_key: the gateway's.
    """

    def __init__(self, *, seed: int, events: int, senders: int, write_key: str) -> None:
        self.sent = Sent()
        self._seed = seed
        self._events = events
        self._senders = senders
        self._auth = (write_key, "")
        self._allowed = 0

    def allow(self, events: int) -> None:
        """Let senders go on until so many events in all are accepted."""
        self._allowed = events

    async def send(self, url: str) -> None:
        """Send everything; returns when all of it was accepted."""
        share, rest = divmod(self._events, self._senders)
        async with asyncio.TaskGroup() as group:
            for number in range(self._senders):
                count = share + (number < rest)
                group.create_task(self._sender(number, count, url))

    async def _sender(self, number: int, count: int, url: str) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        made = 0
        async with httpx.AsyncClient(auth=self._auth, timeout=10) as client:
            while made < count:
                size = min(count - made, chance.randint(1, 40))
                batch = [self._message(number, made + n, chance) for n in range(size)]
                made += size
                while self.sent.accepted >= self._allowed:
                    await asyncio.sleep(POLL)
                await self._post(client, url, batch)
                for message in batch:
                    self._note(message)

    async def _post(self, client: httpx.AsyncClient, url: str, batch: list[Any]) -> None:
        body = msgspec.json.encode({"batch": batch})
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.post(f"{url}/v1/batch", content=body)
                if answer.status_code == httpx.codes.OK:
                    self.sent.accepted += len(batch)
                    return
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            self.sent.retried += 1
            self.sent.repeated.update(message["messageId"] for message in batch)
            await asyncio.sleep(POLL)

    def _message(self, sender: int, number: int, chance: random.Random) -> dict[str, Any]:
        message_id = f"s{self._seed}-{sender}-{number:07}"
        # A few users have most of the events, as everywhere.
        user = f"user-{sender}-{int(chance.paretovariate(0.9)) % 200}"
        message: dict[str, Any] = {"messageId": message_id, "userId": user}
        kind = chance.random()
        if kind < 0.1:
            return {**message, "type": "identify", "traits": {"seen": number, "plan": "pro"}}
        if kind < 0.2:
            message = {"messageId": message_id, "anonymousId": f"anonymous-{user}"}
        message |= {"type": "track", "event": "Clicked", "properties": {"number": number}}
        if kind > 0.996:
            return {**message, "properties": {"word": POISON}}
        if kind > 0.992:
            del message["event"]
        return message

    def _note(self, message: dict[str, Any]) -> None:
        message_id = message["messageId"]
        user = message.get("userId") or message["anonymousId"]
        if message["type"] == "identify":
            self.sent.profiles[user] = message["traits"]["seen"]
        elif "event" not in message:
            self.sent.poisoned[message_id] = "missing_event"
        elif "word" in message["properties"]:
            self.sent.poisoned[message_id] = "refused"
        else:
            self.sent.events.setdefault(user, []).append(message_id)
