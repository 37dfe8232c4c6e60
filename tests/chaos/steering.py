"""What happens to the router of a steered run, round by round, at random moments.

In each round the vendor refuses the key of a connection, or some of its users, and takes them
again; a connection is paused and resumed; router.toml is changed and read again, with an error in
it at times; and a router is killed. The rounds' parts overlap as chance has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from processes import POLL, WORKER_KILLS, Router, router_command
from traffic import Traffic

APP_IDS = {"heap": "11", "shop": "12", "late": "13"}
"""The connections, each with an App ID of its own at the one vendor. `late` comes in midway."""

_FILE = """
[gateway]
write_keys = ["{key}"]
[[sources]]
name = "decoy"
write_keys = ["decoy-{decoy}"]
[eventlog]
url = "sqlite:///router.db"
keep_delivered = "1h"
new_connections = "start"
[delivery]
origins = {{"https://heapanalytics.com" = "{heap}"}}
linger = "50ms"
timeout = "2s"
first_wait = "50ms"
longest_wait = "1s"
hold_wait = "50ms"
longest_hold = "500ms"
window = {window}
{connections}
"""
_CONNECTION = """
[[connections]]
name = "{name}"
plugin = "heap"
settings = {{appId = "{app_id}"}}
consent = [{{provider = "custom", categories = ["nobody-denies-{version}"]}}]
"""
_BROKEN = '\n[[connections]]\nname = "broken"\n'
_REFUSALS: list[dict[str, Any]] = [
    {"status": 401, "body": "no such key"},
    {"status": 403, "body": "this key is revoked"},
    {"status": 407},
    {"status": 302, "headers": {"location": "http://127.0.0.1:9/"}},
    {"status": 308, "headers": {"location": "http://127.0.0.1:9/"}},
]
_SEEN_WITHIN = 5.0


class Steering:
    """Steers the routers of one run.

    Args:
        directory: holds router.toml.
        routers: those at work; the last one delivers.
        client: asks them, and the vendor.
        heap: the simulated vendor's URL.
        faults: what the vendor does wrong all the time.
        write_key: the senders'.
        seed: the same makes the same plan.
    """

    def __init__(
        self,
        *,
        directory: Path,
        routers: list[Router],
        client: httpx.AsyncClient,
        heap: str,
        faults: list[dict[str, Any]],
        write_key: str,
        seed: int,
    ) -> None:
        self._directory = directory
        self._routers = routers
        self._client = client
        self._heap = heap
        self._faults = faults
        self._write_key = write_key
        self._chance = random.Random(seed)
        self._versions = {"heap": 0, "shop": 0}
        self._window = 1000
        self._decoy = 0
        self._paused: dict[str, tuple[int, float] | None] = {}
        self.done: Counter[str] = Counter()
        """How often each was done; `sent_while_paused`: requests that should not have been."""

    def write(self, more: str = "") -> None:
        """Write router.toml as it is to be now, as an editor does: in one step."""
        tables = [
            _CONNECTION.format(name=name, app_id=APP_IDS[name], version=version)
            for name, version in self._versions.items()
        ]
        text = _FILE.format(
            key=self._write_key,
            heap=self._heap,
            decoy=self._decoy,
            window=self._window,
            connections="".join(tables),
        )
        draft = self._directory / "router.toml.new"
        draft.write_text(text + more)
        draft.replace(self._directory / "router.toml")

    async def play(self, rounds: int, events: int, traffic: Traffic) -> None:
        """Go through the rounds while events come in, in between their parts and during them."""
        for number in range(rounds):
            parts = self._parts()
            moments = sorted(self._chance.random() for _ in parts[1:])
            for part, moment in zip(parts, [*moments, 1.0], strict=True):
                traffic.allow(round(events / rounds * (number + moment)))
                await getattr(self, f"_{part}")()
                await asyncio.sleep(self._chance.uniform(0.0, self._chance.choice([0.02, 0.3])))
        traffic.allow(events)

    async def calm(self) -> None:
        """Let everything work again: all connections there, none refused or paused."""
        await self._restore()
        self._versions = {name: self._versions.get(name, 0) for name in APP_IDS}
        self.write()
        for name in APP_IDS:
            await self._command("connections", "resume", name)
        before = self._told("reloaded")
        self._hang_up()
        await self._until(lambda: self._told("reloaded") >= before + len(self._routers), 60.0)

    def count(self) -> dict[str, int]:
        """Count what was done and what the routers told of it."""
        told = ("connection_held", "messages_held", "connection_goes_on", "connection_paused")
        return {
            **{name: self.done[name] for name in _DONE},
            **{name: self._told(name) for name in told},
            **{name: self._told(name) for name in ("reloaded", "reload_refused")},
        }

    # -- parts ---------------------------------------------------------------------------------

    def _parts(self) -> list[str]:
        """Mix what belongs together in order: nothing is restored before it was revoked."""
        threads = [["revoke", "restore"], ["pause", "resume"], ["reload"], ["reload"], ["kill"]]
        parts = []
        while threads:
            thread = self._chance.choice(threads)
            parts.append(thread.pop(0))
            threads = [each for each in threads if each]
        return parts

    async def _revoke(self) -> None:
        name = self._chance.choice(list(self._versions))
        refusal = dict(self._chance.choice(_REFUSALS))
        some = self._chance.random() < 0.3
        user = f"user-{self._chance.randrange(8)}-"
        refusal["match"] = user if some else f'"app_id":"{APP_IDS[name]}"'
        self.done["users_refused" if some else "revoked"] += 1
        await self._set_faults([refusal, *self._faults])
        if not some and name not in self._paused and self._chance.random() < 0.6:
            held = f'router_held{{code="http_{refusal["status"]}",connection="{name}"}}'
            await self._seen(held)

    async def _restore(self) -> None:
        await self._set_faults(self._faults)

    async def _pause(self) -> None:
        name = self._chance.choice(list(self._versions))
        self.done["paused"] += 1
        self._paused[name] = None
        await self._command("connections", "pause", name)
        if self._chance.random() < 0.6 and await self._seen(
            f'router_paused{{connection="{name}"}}', f'router_in_flight{{connection="{name}"}}'
        ):
            self._paused[name] = (self._routers[-1].pid, await self._requests(name))

    async def _resume(self) -> None:
        for name, noted in list(self._paused.items()):
            if name not in self._versions:
                continue  # it comes back paused
            now = await self._requests(name)
            if noted is not None and noted[0] == self._routers[-1].pid:
                self.done["sent_while_paused"] += round(max(0.0, now - noted[1]))
            del self._paused[name]
            await self._command("connections", "resume", name)

    async def _reload(self) -> None:
        if self._chance.random() < 0.2:
            await self._reload_with_an_error()
            return
        self._change()
        self.write()
        self.done["reloads"] += 1
        if len(self._routers) == 1 and self._chance.random() < 0.3:
            await self._command("reload")
        else:
            self._hang_up()

    async def _reload_with_an_error(self) -> None:
        """Nothing changes; a router that starts with such a file would not, so wait for it."""
        before = self._told("reload_refused")
        self.write(_BROKEN)
        self._hang_up()
        await self._until(lambda: self._told("reload_refused") >= before + len(self._routers), 60.0)
        self.write()
        self.done["broken_reloads"] += 1

    def _change(self) -> None:
        """Make a change that loses nothing: connections come, go and start anew."""
        others = [name for name in APP_IDS if name != "heap"]
        match self._chance.randrange(5):
            case 0 | 1:
                name = self._chance.choice(others)
                if self._versions.pop(name, None) is None:
                    self._versions[name] = 0
            case 2:
                self._versions[self._chance.choice(list(self._versions))] = self._next()
            case 3:
                self._window = self._chance.choice([10, 100, 1000])
            case _:
                self._decoy = self._next()

    async def _kill(self) -> None:
        router = self._chance.choice(self._routers)
        self.done["kills"] += 1
        if self._chance.random() < WORKER_KILLS and router.kill_worker(self._chance):
            return
        router.kill()
        router.start()
        await router.ready(self._client)

    # -- means ---------------------------------------------------------------------------------

    def _next(self) -> int:
        self.done["changes"] += 1
        return self.done["changes"]

    def _hang_up(self) -> None:
        for router in self._routers:
            os.kill(router.pid, signal.SIGHUP)

    async def _set_faults(self, faults: list[dict[str, Any]]) -> None:
        answer = await self._client.put(
            f"{self._heap}/_simulator/faults", content=msgspec.json.encode(faults)
        )
        answer.raise_for_status()

    async def _command(self, *arguments: str) -> None:
        await asyncio.to_thread(router_command, self._directory, *arguments)

    async def _metrics(self) -> Mapping[str, float]:
        return await self._routers[-1].metrics(self._client)

    async def _requests(self, name: str) -> float:
        return sum(
            value
            for metric, value in (await self._metrics()).items()
            if metric.startswith("router_requests_total") and f'connection="{name}"' in metric
        )

    async def _seen(self, metric: str, zero: str = "") -> bool:
        """Wait until a metric is 1, and another one 0: a while, for it need not come to that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_WITHIN):
                while True:
                    metrics = await self._metrics()
                    if metrics.get(metric) == 1 and not (zero and metrics.get(zero)):
                        return True
                    await asyncio.sleep(POLL)
        return False

    async def _until(self, true: Any, within: float) -> None:
        async with asyncio.timeout(within):
            while not true():
                assert all(router.alive for router in self._routers)
                await asyncio.sleep(POLL)

    def _told(self, event: str) -> int:
        """Count the lines of an event in what the routers said; a killed one may break one off."""
        count = 0
        for router in self._routers:
            for line in router.said.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    count += json.loads(line)["event"] == event
        return count


_DONE = (
    *("revoked", "users_refused", "paused", "reloads", "broken_reloads"),
    *("kills", "sent_while_paused"),
)
