"""The workers of a process, one for each connection. None delays another."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from destination_router.config.router_toml import DeliveryConfig, QuarantineConfig
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.sender import Sender
from destination_router.delivery.stats import DeliveryStats
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import EXPIRED, DeadLetter
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.router_log import Ownership, RouterLog
from destination_router.eventlog.sqlite.pairing_book import LoggedPairings
from destination_router.eventlog.sqlite.quarantine_book import LoggedQuarantine
from destination_router.eventlog.sqlite.standing_book import LoggedStanding
from destination_router.faults import PASSED_ON
from destination_router.pipeline.connection import Connection
from destination_router.service.tracing import Tracing
from destination_router.service.workers_view import ProcessState

GRACE = 4.0
"""The seconds that requests under way may take when the router stops."""

_PAUSE = 1.0
_SHORT_PAUSE = 0.1
_MANY = 500
"""Fewer events than these are deleted with those that are delivered meanwhile: each time is a
transaction."""

_RESTART_PAUSE = 5.0

_log = logging.getLogger(__name__)


def delivery_settings(config: DeliveryConfig) -> DeliverySettings:
    """Turn the table `[delivery]` into the settings of a worker."""
    return msgspec.convert({**config.settings, "origins": config.origins}, DeliverySettings)


class Workers:
    """Delivers from a log to every connection.

    Args:
        connections: the connections to deliver to.
        log: the event log, also for dead letters.
        settings: of delivery.
        quarantine: when to hold back an identity.
        tracing: traces for the console; None: there are none.
        share: the number of this process among those that deliver; None: it is the only one.
    """

    def __init__(  # noqa: PLR0913 -- each is a part
        self,
        connections: Sequence[Connection],
        log: RouterLog,
        settings: DeliverySettings,
        quarantine: QuarantineConfig,
        tracing: Tracing | None = None,
        *,
        share: int | None = None,
    ) -> None:
        self._tracing = tracing
        self._log = log
        self._attempts = log.attempts(share)
        self._letters = LoggedLetters(log)
        self._failures: Counter[str] = Counter()
        self._settings = settings
        self._quarantine = quarantine
        self._workers: dict[str, Worker] = {}
        self._connections = {connection.name: connection for connection in connections}
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[str] = set()
        self._over = asyncio.Event()
        self._broken = asyncio.Event()
        self._delivers = bool(connections)

    def stats(self) -> dict[str, DeliveryStats]:
        """Tell what each worker has done since it started."""
        return {name: worker.stats for name, worker in self._workers.items()}

    @property
    def letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters this process has made, by connection and code."""
        return self._letters.counts

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each connection's worker met an error of the program, and was started again."""
        return {name: self._failures[name] for name in self._workers}

    @property
    def lost_letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters were deleted for want of room, by connection and code."""
        return self._log.lost_letters

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age` here, by connection."""
        return self._log.expired_events

    @property
    def processes(self) -> Sequence[ProcessState]:
        """No processes: the workers are in this one."""
        return ()

    async def look(self) -> None:
        """Do nothing: stats are always current."""

    def announce(self) -> None:
        """Do nothing: the log has told the workers."""

    def quotas(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return the used and total amount of each connection's quotas."""
        return {name: worker.quota_use() for name, worker in self._workers.items()}

    async def work(self) -> None:
        """Work until `stop`.

        Raises:
            LogFileError: the log is damaged.
        """
        for connection in self._connections.values():
            self._start(connection)
        maintaining = asyncio.create_task(self._maintain())
        broken = asyncio.create_task(self._broken.wait())
        try:
            await asyncio.wait({maintaining, broken}, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.is_set():
                self._over.set()
            await asyncio.gather(maintaining, *self._deliveries.values())
        finally:
            broken.cancel()
            maintaining.cancel()
            self._attempts.close()

    async def stop(self) -> None:
        """Let what is under way end, for a few seconds."""
        self._over.set()
        await asyncio.gather(*(worker.stop(GRACE) for worker in self._workers.values()))

    def end_at_once(self) -> None:
        """Do nothing: requests under way end with the process."""

    async def change(
        self,
        connections: Sequence[Connection],
        anew: Collection[str],
        settings: DeliverySettings,
        quarantine: QuarantineConfig,
    ) -> None:
        """Deliver to other connections from now on; those that stay as they are notice nothing.

        Args:
            connections: all of them; the log knows them already.
            anew: the names of those to start, again or for the first time. A running one first ends
            what it has under way. Its successor sends the rest.
            settings: of delivery, for those.
            quarantine: when to hold back an identity, for those.
        """
        kept = {connection.name for connection in connections} - set(anew)
        leaving = [name for name in self._deliveries if name not in kept]
        self._leaving.update(leaving)
        try:
            await asyncio.gather(*(self._workers[name].stop(GRACE) for name in leaving))
            await asyncio.gather(*(self._deliveries[name] for name in leaving))
        finally:  # else one that comes again would end at its first failure
            self._leaving.difference_update(leaving)
        for name in leaving:
            del self._deliveries[name]
            self._workers.pop(name, None)
        for gone in self._failures.keys() - {connection.name for connection in connections}:
            del self._failures[gone]
        self._settings, self._quarantine = settings, quarantine
        self._connections = {connection.name: connection for connection in connections}
        if not self._over.is_set():
            for connection in connections:
                if connection.name not in self._deliveries:
                    self._start(connection)

    def _start(self, connection: Connection) -> None:
        task = asyncio.create_task(self._deliver(connection))
        self._deliveries[connection.name] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._broken.set()

    def _is_leaving(self, name: str) -> bool:
        return self._over.is_set() or name in self._leaving

    async def _deliver(self, connection: Connection) -> None:
        """Run a connection's worker. Start it again if it breaks, while others go on."""
        ownership = self._log.ownership(connection.name)
        while not self._is_leaving(connection.name):
            tracer = None if self._tracing is None else self._tracing.tracer(connection)
            async with Sender(connection, self._settings) as sender:
                worker = Worker(
                    connection,
                    self._log,
                    sender,
                    dead_letters=self._letters,
                    settings=self._settings,
                    pairings=LoggedPairings(self._log),
                    standing=LoggedStanding(self._log),
                    quarantine=Watch(
                        connection.name, self._quarantine, LoggedQuarantine(self._log)
                    ),
                    attempts=self._attempts,
                    may_send=ownership.may_send,
                    max_age=self._log.max_age,
                    observer=tracer,
                    report=None if tracer is None else tracer.ended,
                )
                self._workers[connection.name] = worker
                lost = asyncio.Event()
                losing = asyncio.create_task(_lose(worker, ownership, lost))
                try:
                    await worker.run()
                except LogFileError:
                    raise
                except PASSED_ON:
                    raise
                except BaseException:  # noqa: BLE001 -- one broken worker stops no other
                    self._failures[connection.name] += 1
                    _log.exception("worker_failed", extra={"connection": connection.name})
                finally:
                    losing.cancel()
                    await asyncio.gather(losing, return_exceptions=True)
                    ownership.let_go()
                    if self._tracing is not None:
                        self._tracing.left(connection.name, worker.stats)
            if not lost.is_set() and not self._is_leaving(connection.name):
                await self._pause(_RESTART_PAUSE)
        ownership.leave()

    async def _maintain(self) -> None:
        """Delete delivered events, and log vendors that fall silent or come back.

        It runs only where events are delivered: no other process knows what a worker has in hand.
        """
        if not self._delivers:
            await self._over.wait()
        circuits: dict[str, str] = {}
        while not self._over.is_set():
            deleted = 0
            try:
                deleted = await self._log.clean()
            except LogUnavailableError as error:
                _log.warning("log_unavailable", extra={"detail": str(error)})
            for name, stats in self.stats().items():
                if circuits.get(name, "closed") != stats.circuit:
                    about = {"connection": name}
                    if stats.circuit == "open" and stats.last_failure:
                        about["detail"] = stats.last_failure
                    _log.warning(f"circuit_{stats.circuit}", extra=about)
                circuits[name] = stats.circuit
            if deleted < _MANY:
                await self._pause(_SHORT_PAUSE if deleted else _PAUSE)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return


async def _lose(worker: Worker, ownership: Ownership, lost: asyncio.Event) -> None:
    """End a worker once another process has to deliver. The rest is delivered there."""
    grace = await ownership.until_lost()
    lost.set()
    await worker.stop(grace)


class LoggedLetters:
    """Keeps dead letters in the log, and writes a line about each.

    Events that expired are counted by the log, and have had one line for all of them.
    """

    def __init__(self, log: RouterLog) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._log = log

    async def put(self, letters: list[DeadLetter]) -> None:
        """Keep dead letters; see `DeadLetterSink.put`."""
        await self._log.put(letters)
        told = [letter for letter in letters if letter.code != EXPIRED]
        self.counts.update((letter.connection, letter.code) for letter in told)
        for letter in told:
            _log.warning(
                "dead_letter",
                extra={
                    "connection": letter.connection,
                    "message_id": letter.message_id,
                    "offset": letter.offset,
                    "code": letter.code,
                    "status": letter.status,
                    "attempts": letter.attempts,
                },
            )
