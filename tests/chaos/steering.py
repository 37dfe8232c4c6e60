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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from kills import Kill
from processes import POLL, Router, carry_out, router_command
from traffic import Traffic
from waiting import PATIENCE

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
"""How long to look for what need not happen, in seconds."""


class File(msgspec.Struct, frozen=True):
    """What changes in router.toml."""

    versions: dict[str, int]
    window: int = 1000
    decoy: int = 0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run.

    Attributes:
        part: what is done.
        moment: how many rounds' traffic may be in when it is done.
        nap: seconds after it.
        name: the connection that it is done to, if it is one.
        fault: what the vendor does from then on, at `revoke`.
        sees: whether it waits until the router has noticed.
        kill: what `kill` kills.
        file: what router.toml holds from then on, at `reload`.
        tells: whether `reload` is the command, not a signal.
    """

    part: str
    moment: float
    nap: float
    name: str = ""
    fault: dict[str, Any] = {}
    sees: bool = False
    kill: Kill | None = None
    file: File | None = None
    tells: bool = False


def planned_steps(seed: int, kills: Sequence[Kill], *, routers: int = 1) -> list[Step]:
    """Plan the steps of a run, a round for each kill: the same for the same arguments."""
    return list(_Planning(seed, routers).steps(kills))


class _Planning:
    """Draws what happens; it knows what stands in router.toml by then, and nothing of a router.

    The first pause of a run is one that the router is seen to obey, however short the run is.
    """

    def __init__(self, seed: int, routers: int) -> None:
        self._chance = random.Random(seed)
        self._alone = routers == 1
        self._file = File({"heap": 0, "shop": 0})
        self._paused: set[str] = set()
        self._has_paused = False
        self._changes = 0

    def steps(self, kills: Sequence[Kill]) -> Iterator[Step]:
        for number, kill in enumerate(kills):
            parts = self._parts()
            moments = sorted(self._chance.random() for _ in parts[1:])
            for part, moment in zip(parts, [*moments, 1.0], strict=True):
                drawn = self._kill(kill) if part == "kill" else getattr(self, f"_{part}")()
                nap = self._chance.uniform(0.0, self._chance.choice([0.02, 0.3]))
                yield Step(**{"part": part, "moment": number + moment, "nap": nap, **drawn})

    def _parts(self) -> list[str]:
        """Mix what belongs together in order: nothing is restored before it was revoked."""
        threads = [["revoke", "restore"], ["pause", "resume"], ["reload"], ["reload"], ["kill"]]
        parts = []
        while threads:
            thread = self._chance.choice(threads)
            parts.append(thread.pop(0))
            threads = [each for each in threads if each]
        return parts

    def _revoke(self) -> dict[str, Any]:
        name = self._chance.choice(list(self._file.versions))
        refusal = dict(self._chance.choice(_REFUSALS))
        if self._chance.random() < 0.3:
            refusal["match"] = f"user-{self._chance.randrange(8)}-"
            return {"fault": refusal}
        refusal["match"] = f'"app_id":"{APP_IDS[name]}"'
        sees = name not in self._paused and self._chance.random() < 0.6
        return {"name": name, "fault": refusal, "sees": sees}

    def _restore(self) -> dict[str, Any]:
        return {}

    def _pause(self) -> dict[str, Any]:
        name = self._chance.choice(list(self._file.versions))
        sees = self._chance.random() < 0.6 or not self._has_paused
        self._has_paused = True
        self._paused.add(name)
        return {"name": name, "sees": sees}

    def _resume(self) -> dict[str, Any]:
        self._paused &= {name for name in self._paused if name not in self._file.versions}
        return {}

    def _reload(self) -> dict[str, Any]:
        if self._chance.random() < 0.2:
            return {"part": "reload_with_an_error"}
        self._file = self._changed()
        return {"file": self._file, "tells": self._alone and self._chance.random() < 0.3}

    def _changed(self) -> File:
        """Make a change that loses nothing: connections come, go and start anew."""
        versions = dict(self._file.versions)
        others = [name for name in APP_IDS if name != "heap"]
        match self._chance.randrange(5):
            case 0 | 1:
                name = self._chance.choice(others)
                if versions.pop(name, None) is None:
                    versions[name] = 0
            case 2:
                versions[self._chance.choice(list(versions))] = self._next()
            case 3:
                window = self._chance.choice([10, 100, 1000])
                return msgspec.structs.replace(self._file, window=window)
            case _:
                return msgspec.structs.replace(self._file, decoy=self._next())
        return msgspec.structs.replace(self._file, versions=versions)

    def _kill(self, kill: Kill) -> dict[str, Any]:
        return {"kill": kill}

    def _next(self) -> int:
        self._changes += 1
        return self._changes


class Steering:
    """Steers the routers of one run.

    Args:
        directory: holds router.toml.
        routers: those at work; the last one delivers.
        client: asks them, and the vendor.
        heap: the simulated vendor's URL.
        faults: what the vendor does wrong all the time.
        write_key: the senders'.
        steps: what happens.
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
        steps: Sequence[Step],
    ) -> None:
        self._directory = directory
        self._routers = routers
        self._client = client
        self._heap = heap
        self._faults = faults
        self._write_key = write_key
        self._steps = steps
        self._file = File({"heap": 0, "shop": 0})
        self._paused: dict[str, tuple[int, float] | None] = {}
        self.done: Counter[str] = Counter()
        """How often each was done; `sent_while_paused`: requests that should not have been."""

    def write(self, more: str = "") -> None:
        """Write router.toml as it is to be now, as an editor does: in one step."""
        tables = [
            _CONNECTION.format(name=name, app_id=APP_IDS[name], version=version)
            for name, version in self._file.versions.items()
        ]
        text = _FILE.format(
            key=self._write_key,
            heap=self._heap,
            decoy=self._file.decoy,
            window=self._file.window,
            connections="".join(tables),
        )
        draft = self._directory / "router.toml.new"
        draft.write_text(text + more)
        draft.replace(self._directory / "router.toml")

    async def play(self, rounds: int, events: int, traffic: Traffic) -> None:
        """Go through the steps while events come in, in between the steps and during them."""
        for step in self._steps:
            traffic.allow(round(events / rounds * step.moment))
            await getattr(self, f"_{step.part}")(step)
            await asyncio.sleep(step.nap)
        traffic.allow(events)

    async def calm(self) -> None:
        """Let everything work again: all connections there, none refused or paused."""
        await self._set_faults(self._faults)
        versions = {name: self._file.versions.get(name, 0) for name in APP_IDS}
        self._file = msgspec.structs.replace(self._file, versions=versions)
        self.write()
        for name in APP_IDS:
            await self._command("connections", "resume", name)
        await self._hang_up_until("reloaded")

    def count(self) -> dict[str, int]:
        """Count what was done and what the routers told of it."""
        told = ("connection_held", "messages_held", "connection_goes_on", "connection_paused")
        return {
            **{name: self.done[name] for name in _DONE},
            **{name: self._told(name) for name in told},
            **{name: self._told(name) for name in ("reloaded", "reload_refused")},
        }

    # -- parts ---------------------------------------------------------------------------------

    async def _revoke(self, step: Step) -> None:
        self.done["revoked" if step.name else "users_refused"] += 1
        await self._set_faults([step.fault, *self._faults])
        if step.sees:
            code = f"http_{step.fault['status']}"
            await self._seen(f'router_held{{code="{code}",connection="{step.name}"}}', 1)

    async def _restore(self, _: Step) -> None:
        await self._set_faults(self._faults)

    async def _pause(self, step: Step) -> None:
        name = step.name
        self.done["paused"] += 1
        self._paused[name] = None
        await self._command("connections", "pause", name)
        if not step.sees:
            return
        # It delivers, or is about to, and so it has to obey: only requests may take their time.
        assert await self._seen(f'router_paused{{connection="{name}"}}', 1, PATIENCE)
        self.done["pauses_seen"] += 1
        if await self._seen(f'router_in_flight{{connection="{name}"}}', 0):
            self._paused[name] = (self._routers[-1].pid, await self._requests(name))

    async def _resume(self, _: Step) -> None:
        for name, noted in list(self._paused.items()):
            if name not in self._file.versions:
                continue  # it comes back paused
            now = await self._requests(name)
            if noted is not None and noted[0] == self._routers[-1].pid:
                self.done["sent_while_paused"] += round(max(0.0, now - noted[1]))
            del self._paused[name]
            await self._command("connections", "resume", name)

    async def _reload(self, step: Step) -> None:
        assert step.file is not None
        self._file = step.file
        self.write()
        self.done["reloads"] += 1
        if step.tells:
            await self._command("reload")
        else:
            self._hang_up()

    async def _reload_with_an_error(self, _: Step) -> None:
        """Nothing changes; a router that starts with such a file would not, so wait for it."""
        self.write(_BROKEN)
        await self._hang_up_until("reload_refused")
        self.write()
        self.done["broken_reloads"] += 1

    async def _kill(self, step: Step) -> None:
        assert step.kill is not None
        self.done["kills"] += 1
        await carry_out(step.kill, self._routers, self._client)

    # -- means ---------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        for router in self._routers:
            os.kill(router.pid, signal.SIGHUP)

    async def _hang_up_until(self, event: str) -> None:
        """Let all routers read router.toml again, and wait until each has told of it."""
        before = [_told(router, event) for router in self._routers]
        self._hang_up()
        for router, told in zip(self._routers, before, strict=True):
            await self._until(lambda r=router, n=told: _told(r, event) > n)

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

    async def _seen(self, metric: str, value: float, within: float = _SEEN_WITHIN) -> bool:
        """Wait until a metric has a value; False: it did not come to that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (await self._metrics()).get(metric) != value:
                    await asyncio.sleep(POLL)
                return True
        return False

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                assert all(router.alive for router in self._routers)
                await asyncio.sleep(POLL)

    def _told(self, event: str) -> int:
        """Count the lines of an event in what all routers said."""
        return sum(_told(router, event) for router in self._routers)


def _told(router: Router, event: str) -> int:
    """Count the lines of an event in what a router said; a killed one may break one off."""
    count = 0
    for line in router.said.read_text().splitlines():
        with contextlib.suppress(ValueError):
            count += json.loads(line)["event"] == event
    return count


_DONE = (
    *("revoked", "users_refused", "paused", "pauses_seen", "reloads", "broken_reloads"),
    *("kills", "sent_while_paused"),
)
