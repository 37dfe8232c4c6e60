"""The embedded event log in one SQLite file, where an accepted event is on disk.

Any number of processes may append to it. One at a time delivers from it (`claim`). It also holds
the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from destination_router.eventlog.dead_letter import EXPIRED, DeadLetter
from destination_router.eventlog.interface import Event, Lag, LogUnavailableError
from destination_router.eventlog.progress import Progress
from destination_router.eventlog.router_log import KeptAttempts, Ownership, SoleOwner
from destination_router.eventlog.sqlite.arrivals import Arrivals
from destination_router.eventlog.sqlite.attempt_book import (
    LoggedAttempts,
    attempts_path,
    note_left,
)
from destination_router.eventlog.sqlite.dead_letter_store import (
    count_letters,
    delete_letters_before,
    put_letters,
)
from destination_router.eventlog.sqlite.expiry import expire
from destination_router.eventlog.sqlite.file import (
    connect,
    damage_told,
    open_file,
)
from destination_router.eventlog.sqlite.letter_losses import LetterLosses
from destination_router.eventlog.sqlite.letter_room import Kind, letter_bytes, make_room
from destination_router.eventlog.sqlite.presence import OpenFiles
from destination_router.eventlog.sqlite.queries import (
    append,
    forget,
    lags,
    progress_of,
    put_done,
    put_low,
    read,
    register,
)
from destination_router.eventlog.sqlite.retention import (
    Retention,
    delete_delivered,
    refuse_if_full,
    used_bytes,
)
from destination_router.eventlog.sqlite.rows import Row
from destination_router.eventlog.sqlite.tail import Tail
from destination_router.eventlog.sqlite.writer import RefusedError, Writer

_LOST_AT_ONCE = 1000
_RELEASE_PAUSE = 0.1

_NEAR = 20_000
_NEAR_BYTES = 256 * 1024
"""A reader that has no more than so many events before it reads them in the event loop, so much at
once. They were written lately, so that no disk is waited for; and in a thread each row would change
hands with the loop, which holds up both."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Reader(msgspec.Struct, eq=False):
    """One connection that reads here."""

    progress: Progress
    unsaved: set[int]
    turn: asyncio.Lock
    tail: Tail | None = None  # made at the first read: a process that only appends needs none
    is_near: bool = False  # few events were left at the last look


class SqliteEventLog:
    """An event log in a file.

    Args:
        path: the file; made if nothing is there.
        connections: the names of the connections that read, here or in another process.
        start: where a connection that is new to the log begins: after the events in the log
            (`end`), or before all of them (`start`).
        retention: what is deleted, and when new events are refused.
        kept: for connections that may not keep a whole event in a dead letter, what they keep.
        clock: Unix time, in seconds.

    Raises:
        LogFileError: the file at the path cannot be used.
        LogUnavailableError: it cannot be written now.
    """

    def __init__(  # noqa: PLR0913 -- each is a setting, by keyword
        self,
        path: Path,
        connections: Iterable[str],
        *,
        start: Literal["end", "start"] = "end",
        retention: Retention | None = None,
        kept: Mapping[str, Callable[[bytes], bytes]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._retention = retention or Retention()
        self._kept = kept or {}
        self._clock = clock
        self._losses = LetterLosses(clock)
        self._expired = Counter(dict.fromkeys(connections, 0))
        open_file(path)
        with damage_told(path), contextlib.ExitStack() as opened:
            self._reading = opened.enter_context(contextlib.closing(connect(path)))
            try:
                register(self._reading, tuple(connections), start)
            except sqlite3.OperationalError as error:
                raise LogUnavailableError(f"{path}: {error}") from error
            self._readers = {name: _reader(self._reading, name) for name in connections}
            self._files = OpenFiles(path)
            self._nearby = opened.enter_context(contextlib.closing(connect(path, patience=0.0)))
            writing = connect(path)
            opened.pop_all()
        self._writer = Writer(writing, self._files.refuse_if_gone)
        self._thread = ThreadPoolExecutor(1, "event-log-reader")
        self._arrivals = Arrivals()
        self._appending = 0
        self._end = inf  # the last offset, as far as it is known; infinite: look into the file

    async def admit(
        self,
        connections: Iterable[str],
        *,
        start: Literal["end", "start"],
        kept: Mapping[str, Callable[[bytes], bytes]],
        request_seconds: float | None = None,
    ) -> None:
        """Let more connections read than when the log was opened.

        Args:
            connections: all that read from now on.
            start: where a connection that is new to the log begins.
            kept: as when the log was opened.
            request_seconds: does not matter here, because no other process delivers.

        Raises:
            LogUnavailableError: the log cannot be written now. Nothing has changed.
        """
        del request_seconds
        names = tuple(connections)
        known = frozenset(self._readers)

        try:
            self._readers.update(await self._in_thread(partial(self._entered, names, start, known)))
        except sqlite3.OperationalError as error:
            raise LogUnavailableError(f"{self.path}: {error}") from error
        self._kept = {**self._kept, **kept}
        self._expired.update(dict.fromkeys(names, 0))

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        """Accept events, all or none. They are on disk when this returns.

        Raises:
            LogUnavailableError: nothing was accepted.
        """
        if not bodies:
            return
        at = round(self._clock() * 1000)
        self._appending += 1
        try:
            first = await self.transact(partial(self._append, at, source, bodies))
        finally:
            self._appending -= 1
        self._end = max(self._end, first + len(bodies) - 1)
        self._hold(first, at / 1000, source, bodies)
        self._arrivals.announce()

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events that the connection has not committed, oldest first.

        Raises:
            LogFileError: the file is damaged.
        """
        reader = self._readers[connection]
        if reader.tail is None and (max_age := self._retention.max_age) is not None:
            # What is too old already, a worker that starts does not get: it would send it.
            # On a full disk, it does: delivery makes room.
            with contextlib.suppress(LogUnavailableError):
                while await self._expire(connection, reader, max_age):
                    pass
        after = max(after, reader.progress.low)
        reader.tail = reader.tail or Tail()
        polling = self._arrivals.watch()
        while True:
            # What this process is appending will be in the tail in a moment. A look into the file
            # costs as much as some dozen events, and finds nothing, or the same events.
            if after < self._end or not self._appending or polling.is_slow:
                before = after
                async with reader.turn:
                    found, after = await self._read_some(connection, reader, after, limit)
                if found:
                    return found
                if after > before:  # those were done, or for others: more may follow at once
                    await asyncio.sleep(0)
                    continue
            await polling.wait()

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Mark events as done.

        On a full disk, the marks stay in memory and are written with the next commit that succeeds.
        Until then, a crash would repeat the delivery of those events.
        """
        reader = self._readers[connection]
        reader.unsaved.update(offsets)
        reader.progress.commit(offsets)
        low = reader.progress.low
        saved = tuple(reader.unsaved)
        above = [offset for offset in saved if offset > low]
        try:
            await self.transact(partial(_mark, connection, low, above))
        except LogUnavailableError as error:
            _log.warning("commit_postponed", extra={"connection": connection, "detail": str(error)})
        else:
            reader.unsaved.difference_update(saved)

    async def transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write in a transaction. It is on disk when this returns.

        Args:
            write: makes the change. It may be called again if its transaction fails.

        Raises:
            LogUnavailableError: nothing was written.
            LogFileError: the file is damaged.
        """
        try:
            with damage_told(self.path):
                try:
                    return await self._writer.run(write)
                except (sqlite3.DataError, sqlite3.IntegrityError, RefusedError) as error:
                    # What was to be written is at fault, and not the file.
                    raise LogUnavailableError(str(error)) from error
        except sqlite3.Error as error:
            raise LogUnavailableError(str(error)) from error

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters. They are on disk when this returns.

        Beyond their budget, old ones are deleted, and `lost_letters` counts them.

        Raises:
            LogUnavailableError: none was kept.
        """
        self._losses.note(await self.transact(partial(self._put, letters)))
        self._expired.update(each.connection for each in letters if each.code == EXPIRED)

    async def clean(self) -> int:
        """Delete some delivered events, and expire those that are too old; 0: there were none."""
        now = self._clock()
        done, lost = await self.transact(partial(self._clean, now))
        self._losses.note(lost)
        done += lost.total()
        if self._retention.keep_dead_letters is not None:
            done += await self._forget_letters(self._retention.keep_dead_letters)
        if self._retention.max_age is not None:
            for name, reader in tuple(self._readers.items()):  # a reload may add some
                done += await self._expire(name, reader, self._retention.max_age)
        return done

    @property
    def max_age(self) -> float | None:
        """The age in seconds at which an undelivered event becomes a dead letter; None: never."""
        return self._retention.max_age

    @property
    def lost_letters(self) -> Mapping[Kind, int]:
        """How many dead letters were deleted for lack of room, by connection and code."""
        return self._losses.counts

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age` and became dead letters, by connection."""
        return self._expired

    async def check(self) -> None:
        """Write something small, to prove that the log can be written.

        Raises:
            LogUnavailableError: it cannot. The text says why.
        """
        now = round(self._clock() * 1000)
        await self.transact(partial(self._probe, now))

    async def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read of the file.

        Raises:
            LogUnavailableError: it could not be read now.
        """
        try:
            return await self._in_thread(partial(read, self._reading))
        except sqlite3.OperationalError as error:
            raise LogUnavailableError(str(error)) from error

    async def lags(self) -> dict[str, Lag]:
        """Return the lag of each connection of the file, those of other processes included."""
        return await self._in_thread(partial(lags, self._reading, self._clock()))

    async def size(self) -> int:
        """Return the bytes in use, without those of dead letters."""
        return await self._in_thread(partial(used_bytes, self._reading))

    async def letters_size(self) -> int:
        """Return the bytes of dead letters."""
        return await self._in_thread(partial(letter_bytes, self._reading))

    async def dead_letters(self) -> dict[tuple[str, str], int]:
        """Count dead letters that are not replayed, by connection and code."""
        return await self._in_thread(partial(count_letters, self._reading))

    async def forget(self, connection: str) -> Lag | None:
        """Drop a connection's claim to undelivered events.

        Returns:
            Its lag; None if the log does not know it.
        """
        lag = (await self.lags()).get(connection)
        await self.transact(partial(forget, name=connection))
        return lag

    def ownership(self, connection: str) -> Ownership:  # noqa: ARG002 -- `claim` is for all
        """Say that this process delivers: it has claimed the log."""
        return SoleOwner()

    def announce(self) -> None:
        """Look for events now, because another process says that it has appended some."""
        self._end = inf
        self._arrivals.announce()

    async def release(self, connections: Iterable[str]) -> None:
        """Stop reading for connections: another process will. None of their events is in hand."""
        for name in connections:
            if (reader := self._readers.get(name)) is None:
                continue
            async with reader.turn:  # events that expire meanwhile are noted first
                while reader.unsaved:  # otherwise the other process would deliver it again
                    await self.commit(name, ())
                    if reader.unsaved:
                        await asyncio.sleep(_RELEASE_PAUSE)
                del self._readers[name]

    def attempts(self, share: int | None = None) -> KeptAttempts:
        """Open the book of messages at hand when a process died."""
        return LoggedAttempts(self, attempts_path(self.path, share))

    async def note_attempts_left(self, connections: Iterable[str]) -> None:
        """Count the messages at hand when processes died, before any delivers again."""
        await note_left(self, self.path, tuple(connections))

    def close(self) -> None:
        """Finish what was asked for, and close the file."""
        self._writer.close()
        self._losses.tell()
        self._thread.shutdown()
        self._nearby.close()
        self._reading.close()

    # -- in the writer's thread or the reader's -----------------------------------------------
    # Methods, not functions within coroutines: compiled, each of these would hold on to its
    # coroutine, and that to it, until Python looks for cycles.

    def _entered(
        self, names: Sequence[str], start: Literal["end", "start"], known: Collection[str]
    ) -> dict[str, _Reader]:
        # A connection that was forgotten meanwhile begins anew, though it has read here before.
        entered = register(self._reading, tuple(names), start)
        new = [name for name in names if name in entered or name not in known]
        return {name: _reader(self._reading, name) for name in new}

    def _append(
        self, at: int, source: str | None, bodies: Sequence[bytes], connection: sqlite3.Connection
    ) -> int:
        refuse_if_full(connection, self.path, self._retention, self._files.bytes)
        return append(connection, at, source, bodies)

    def _put(self, letters: Sequence[DeadLetter], connection: sqlite3.Connection) -> Counter[Kind]:
        put_letters(connection, letters)
        return self._make_room(connection)

    def _clean(self, now: float, connection: sqlite3.Connection) -> tuple[int, Counter[Kind]]:
        deleted = delete_delivered(connection, self._retention, now)
        return deleted, self._make_room(connection)

    def _probe(self, now: int, connection: sqlite3.Connection) -> None:
        refuse_if_full(connection, self.path, self._retention, self._files.bytes)
        connection.execute("UPDATE probe SET tried_at = ?", (now,))

    # -- inside --------------------------------------------------------------------------------

    async def _read_some(
        self, name: str, reader: _Reader, after: int, limit: int
    ) -> tuple[list[Event], int]:
        progress = reader.progress
        if reader.tail is not None:
            if held := reader.tail.take(after, limit):
                low, done = progress.low, progress.done
                found = held
                if done or held[0].offset <= low:  # not where a reader keeps up
                    found = [each for each in held if each.offset > low and each.offset not in done]
                progress.hand_out([event.offset for event in found], held[-1].offset)
                return found, held[-1].offset
            if reader.tail.first is not None:  # events in memory need not be read as well
                limit = min(limit, max(1, reader.tail.first - after - 1))
        announced = self._arrivals.count
        rows, last = await self._read_rows(name, reader, after, limit)
        if announced == self._arrivals.count:  # else there may be more by now
            self._end = last
        through = rows[-1].last if rows else last
        reader.is_near = last - through <= _NEAR
        low, done = progress.low, progress.done
        found = [
            Event(offset, body, row.received_at / 1000, row.source, row.replay)
            for row in rows
            if row.target is None or row.target == name
            for offset, body in row.events()
            if offset > low and offset not in done
        ]
        progress.hand_out([event.offset for event in found], through)
        return found, max(after, through)

    async def _read_rows(
        self, name: str, reader: _Reader, after: int, limit: int
    ) -> tuple[list[Row], int]:
        if reader.is_near:
            with contextlib.suppress(sqlite3.OperationalError), damage_told(self.path):
                return read(self._nearby, after, limit, name, _NEAR_BYTES)
        return await self._in_thread(partial(read, self._reading, after, limit, name))

    def _hold(
        self, first: int, received_at: float, source: str | None, bodies: Sequence[bytes]
    ) -> None:
        """Hold appended events in memory for the connections that read here."""
        tails = [each.tail for each in self._readers.values() if each.tail is not None]
        if not tails:
            return
        size = sum(map(len, bodies))
        events = [
            Event(offset, body, received_at, source) for offset, body in enumerate(bodies, first)
        ]
        for tail in tails:
            tail.put(events, size)

    async def _forget_letters(self, keep: float) -> int:
        before = self._clock() - keep
        count = await self.transact(partial(delete_letters_before, moment=before))
        if count:
            _log.warning("dead_letters_deleted", extra={"count": count})
        return count

    async def _expire(self, name: str, reader: _Reader, max_age: float) -> int:
        async with reader.turn:
            if self._readers.get(name) is not reader:  # another process reads for it by now
                return 0
            offsets = await self.transact(
                partial(
                    expire,
                    name=name,
                    progress=reader.progress,
                    max_age=max_age,
                    kept=self._kept.get(name, bytes),
                    now=self._clock(),
                )
            )
            await self.commit(name, offsets)
        self._expired[name] += len(offsets)
        return len(offsets)

    def _make_room(self, connection: sqlite3.Connection) -> Counter[Kind]:
        return make_room(connection, self._retention.letter_budget, _LOST_AT_ONCE)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        with damage_told(self.path):
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _mark(name: str, low: int, above: Sequence[int], connection: sqlite3.Connection) -> None:
    if above:
        put_done(connection, name, above)
    put_low(connection, name, low)


def _reader(connection: sqlite3.Connection, name: str) -> _Reader:
    return _Reader(progress_of(connection, name), set(), asyncio.Lock())
