"""`run --workers`: starts processes that each deliver a share of the connections.

A process that dies is started again after a growing pause, and the others go on. None outlives this
process for long. While one does, no other router delivers, because each holds the claim to the log
(`share_process`). No two processes deliver one connection: one that moves has ended in one process
before it begins in the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.interface import LogFileError
from destination_router.pipeline.connection import Connection
from destination_router.service.share_channel import (
    FROM_SHARE,
    Arrived,
    Broken,
    Deliver,
    Delivering,
    Look,
    Seen,
    Stop,
    put,
    received,
)
from destination_router.service.shares import divide, groups_by_quota
from destination_router.service.workers import GRACE
from destination_router.service.workers_view import ProcessState

_LOOK_PAUSE = 1.0
_LOOK_SECONDS = 0.5
"""The longest wait for a process's state. After that, its earlier state is used."""

_CHANGE_SECONDS = 3 * GRACE
_STOP_SECONDS = GRACE + 3.0
"""A process that does not obey is killed after this many seconds."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LASTED = 60.0
"""After this many seconds at work, a process counts as well started: pauses begin again."""

_MOST_UNHEARD = 4096

_log = logging.getLogger(__name__)

Key = TypeVar("Key")


class Supervisor:
    """Delivers from a log in several processes.

    Args:
        config: the router.toml.
        connections: those of it.
        count: the most processes. None is started without work.
        claim: the descriptor of the claim to the log.
        traced: whether they write traces for the console.
    """

    def __init__(
        self,
        config: RouterConfig,
        connections: Sequence[Connection],
        *,
        count: int,
        claim: int | None,
        traced: bool,
    ) -> None:
        self._traced = traced
        self._groups = groups_by_quota(connections)
        self._places = divide(self._groups, count)
        self._shares = [_Share(number + 1, claim) for number in range(count)]
        for number, share in enumerate(self._shares):
            share.config = self._part(config, self._of(number))
        self._over = asyncio.Event()
        self._tell_idle()

    def stats(self) -> dict[str, DeliveryStats]:
        """Tell what each connection's worker has done since it started."""
        return {
            name: stats
            for share in self._shares
            for name, stats in share.seen.stats.items()
            if name in share.names
        }

    @property
    def letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters the processes have made, by connection and code."""
        return _sum((share.letters, share.seen.letters) for share in self._shares)

    @property
    def lost_letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters they deleted for want of room, by connection and code."""
        return _sum((share.lost_letters, share.seen.lost_letters) for share in self._shares)

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age`, by connection."""
        counted = _sum((share.expired, share.seen.expired) for share in self._shares)
        return {name: counted[name] for name in self._places}

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each connection's worker, or the process that it is in, failed."""
        counted = _sum((share.failures, share.seen.failures) for share in self._shares)
        return {name: counted[name] for name in self._places}

    @property
    def processes(self) -> Sequence[ProcessState]:
        """The states of the processes."""
        return [share.state for share in self._shares if share.names]

    async def look(self) -> None:
        """Ask each process for its state. Do not wait for one that does not answer."""
        asked = [share.look() for share in self._shares]
        waiting = [each for each in asked if each is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=_LOOK_SECONDS)

    def announce(self) -> None:
        """Tell the processes that events came in."""
        for share in self._shares:
            share.announce()

    async def work(self) -> None:
        """Work until `stop`.

        Raises:
            LogFileError: a process says that the log is damaged.
        """
        looking = asyncio.create_task(self._look_on())
        running = [asyncio.create_task(share.run()) for share in self._shares]
        try:
            for task in running:
                task.add_done_callback(self._ended)
            await self._over.wait()
            await self.stop()
            await asyncio.gather(*running)
        finally:
            looking.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(looking, *running, return_exceptions=True)

    async def stop(self) -> None:
        """Let what is under way end, for a few seconds."""
        self._over.set()
        await asyncio.gather(*(share.stop() for share in self._shares))

    def end_at_once(self) -> None:
        """Kill all processes."""
        for share in self._shares:
            share.kill()

    async def change(
        self, connections: Sequence[Connection], anew: Collection[str], config: RouterConfig
    ) -> None:
        """Deliver to other connections from now on; those that stay as they are notice nothing.

        Args:
            connections: all of them; the log knows them already.
            anew: the names of those to start, again or for the first time.
            config: the router.toml that says so.
        """
        before = self._places
        self._groups = groups_by_quota(connections)
        after = divide(self._groups, len(self._shares), before)
        # First all end what is not theirs any more; only then does another one begin with it.
        staying = {name for name, at in after.items() if before.get(name) == at}
        self._places = {name: at for name, at in after.items() if name in staying}
        await self._assign(config, anew, range(len(self._shares)))
        self._places = after
        arriving = {at for name, at in after.items() if name not in staying}
        await self._assign(config, (), arriving)
        self._tell_idle()

    async def _assign(
        self, config: RouterConfig, anew: Collection[str], numbers: Iterable[int]
    ) -> None:
        await asyncio.gather(
            *(
                self._shares[number].assign(self._part(config, names), set(anew) & names)
                for number in numbers
                for names in [self._of(number)]
            )
        )

    def _of(self, number: int) -> set[str]:
        return {name for name, at in self._places.items() if at == number}

    def _part(self, config: RouterConfig, names: Collection[str]) -> RouterConfig:
        """Reduce a configuration to what a process needs."""
        console = config.console
        if console is not None:
            console = msgspec.structs.replace(console, password="", viewer_password="")
        return msgspec.structs.replace(
            config,
            gateway=msgspec.structs.replace(config.gateway, write_keys=()),
            sources=(),
            alerts=None,
            console=console if self._traced else None,
            connections=tuple(each for each in config.connections if each.name in names),
        )

    def _tell_idle(self) -> None:
        """Log it if there is work for fewer processes than configured."""
        working = len(set(self._places.values()))
        if working < len(self._shares):
            detail = (
                f"workers = {len(self._shares)}, but no more than {working} can be used: there are "
                f"{len(self._places)} connections, and those that may share a quota stay together"
            )
            _log.warning("configuration", extra={"detail": detail})

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._over.set()  # the log is damaged

    async def _look_on(self) -> None:
        """Look repeatedly, because alerts use the state that was seen last."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_PAUSE)


class _Share:
    """One of the processes: the running one, or the next.

    It keeps the counts of its predecessors. Those of the running process are in `seen`.
    """

    def __init__(self, number: int, claim: int | None) -> None:
        self.config = RouterConfig()
        self.seen = Seen()
        self.letters: Counter[tuple[str, str]] = Counter()
        self.lost_letters: Counter[tuple[str, str]] = Counter()
        self.expired: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._number = number
        self._claim = claim
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._works = False
        self._told = 0
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._looking: asyncio.Future[None] | None = None
        self._needed = asyncio.Event()
        self._over = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def names(self) -> list[str]:
        """The connections that it delivers."""
        return [each.name for each in self.config.connections]

    @property
    def state(self) -> ProcessState:
        """The state of the process."""
        seen = self.seen if self._works else Seen()
        return ProcessState(
            share=self._number,
            connections=self.names,
            works=self._works,
            cpu=seen.cpu,
            resident=seen.resident,
        )

    def tell(self, message: Look | Stop | Deliver) -> None:
        """Send the process a message, if there is one."""
        if self._writer is not None:
            put(self._writer, message)

    def announce(self) -> None:
        """Announce new events to the process. One that does not listen finds them by itself."""
        writer = self._writer if self._works else None
        if writer is not None and writer.transport.get_write_buffer_size() < _MOST_UNHEARD:
            put(writer, Arrived())

    def look(self) -> asyncio.Future[None] | None:
        """Ask for the state of the process. The returned future is done when it is in `seen`."""
        if self._writer is None or not self._works:
            return None
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_future()
            self.tell(Look())
        return self._looking

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def assign(self, config: RouterConfig, anew: Collection[str]) -> None:
        """Deliver other connections. Returns once the process delivers these and no others."""
        before, self.config = self.config, config
        if config == before and not anew:
            return
        if not self.names:
            self._needed.clear()
            await self._end()
            return
        self._needed.set()
        if self._writer is None:
            return  # the next process begins with it
        self._told += 1
        answer = self._answers[self._told] = asyncio.get_running_loop().create_future()
        self.tell(Deliver(self._told, self._number, config, tuple(anew)))
        await self._wait_or_kill(answer, _CHANGE_SECONDS)

    async def stop(self) -> None:
        """End the process, and start no other."""
        if self._over.is_set():  # it was told already
            await self._ended.wait()
            return
        self._over.set()
        self._needed.set()
        await self._end()

    async def run(self) -> None:
        """Keep a process at work while there is something to deliver, until `stop`.

        Raises:
            LogFileError: it says that the log is damaged.
        """
        if self.names:
            self._needed.set()
        pause = _FIRST_PAUSE
        while not self._over.is_set():
            await self._needed.wait()
            if self._over.is_set():
                return
            begun = _now()
            status = await self._work()
            if self._over.is_set() or not self.names:
                continue
            if _now() - begun >= _LASTED:
                pause = _FIRST_PAUSE
            self.failures.update(self.names)
            about = {"share": self._number, "status": status, "connections": self.names}
            _log.error("worker_ended", extra={**about, "seconds": pause})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._over.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _work(self) -> int | None:
        """Run one process until it ends. Return its status; None if it could not be started."""
        self._ended.clear()
        try:
            process, channel = await self._started()
            await self._converse(channel)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
        except OSError as error:
            _log.error("worker_not_started", extra={"detail": f"{error.strerror}"})
        finally:
            self.kill()
            status = None if self._process is None else await self._process.wait()
            self._forget()
        return status

    async def _started(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Start a process with a socket to it."""
        ours, theirs = socket.socketpair()
        claim = [] if self._claim is None else [self._claim]
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # nothing in the folder that we are in takes a module's place
                    "-m",
                    "destination_router.service.share_process",
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *claim],
                )
        except BaseException:
            ours.close()
            raise
        return self._process, ours

    async def _converse(self, channel: socket.socket) -> None:
        """Tell a process what to deliver, and read its messages until it ends."""
        reader, writer = await asyncio.open_connection(sock=channel)
        self._writer = writer
        self._told += 1
        put(writer, Deliver(self._told, self._number, self.config))
        if self._over.is_set() or not self.names:  # stopped while it was started
            put(writer, Stop())
        try:
            async for content in received(reader):
                self._hear(FROM_SHARE.decode(content))
        finally:
            self._writer = None
            self._works = False
            writer.close()

    def _hear(self, message: Delivering | Seen | Broken) -> None:
        if isinstance(message, Seen):
            # What it counted of a connection that has moved since stays counted.
            self.seen = msgspec.structs.replace(
                message,
                expired={**self.seen.expired, **message.expired},
                failures={**self.seen.failures, **message.failures},
            )
            if self._looking is not None:
                self._looking.set_result(None)
                self._looking = None
        elif isinstance(message, Delivering):
            self._works = True
            answer = self._answers.pop(message.number, None)
            if answer is not None and not answer.done():
                answer.set_result(None)
        else:
            raise LogFileError(message.detail)

    def _forget(self) -> None:
        """Keep the counts of a process that has ended, and wake whoever waits for it."""
        self.letters.update(self.seen.letters)
        self.lost_letters.update(self.seen.lost_letters)
        self.expired.update(self.seen.expired)
        self.failures.update(self.seen.failures)
        self.seen = Seen(stats={name: _idle(stats) for name, stats in self.seen.stats.items()})
        waiting, self._answers = self._answers, {}
        for answer in (*waiting.values(), self._looking):
            if answer is not None and not answer.done():
                answer.set_result(None)
        self._looking = None
        self._process = None
        self._ended.set()

    async def _end(self) -> None:
        """Let the process end, or kill it."""
        self.tell(Stop())
        await self._wait_or_kill(self._ended.wait(), _STOP_SECONDS)

    async def _wait_or_kill(self, awaited: Awaitable[object], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await awaited
        except TimeoutError:
            _log.error("worker_killed", extra={"share": self._number, "seconds": seconds})
            self.kill()
            await self._ended.wait()


def _idle(stats: DeliveryStats) -> DeliveryStats:
    """Make the stats of a connection whose process has ended: its counts, and nothing under way."""
    return msgspec.structs.replace(
        stats, in_flight=0, waiting=0, parked=0, at_quotas=0, awaited_quotas={}
    )


def _sum(counts: Iterable[tuple[Mapping[Key, int], Mapping[Key, int]]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for before, now in counts:
        total.update(before)
        total.update(now)
    return total


def _now() -> float:
    return asyncio.get_running_loop().time()
