"""A program that answers questions. It is started for a question, and again after it has ended.

It gets one question at a time, from any thread. It cannot hang its host, fill its memory, or
outlive it.
"""

from __future__ import annotations

import shlex
import threading
import time
import weakref
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw

from destination_router.contract.records import Json
from destination_router.plugins.loading import PluginError
from destination_router.programs.lines import (
    VERSION,
    Fault,
    Hello,
    LineError,
    call_line,
    hello_of,
    reply_of,
)
from destination_router.programs.process import ExchangeError, NotAskedError, Process

START = 30.0
"""The most seconds from a program's start to its first answer."""

STOP = 1.0
"""The most seconds that it may take to end when asked."""


class ProgramError(PluginError):
    """A program did not answer correctly. The text may contain what it wrote.

    Attributes:
        reason: the reason, in our own words, to follow the name of the program.
        place: the place of the failure, as for any other plugin.
        is_about_question: whether the question may be at fault, because the program had answered
        before.
    """

    def __init__(self, command: str, reason: str, words: str, *, is_about_question: bool) -> None:
        said = f"\nIt wrote on standard error:\n{words}" if words else ""
        super().__init__(f"the program `{command}` {reason}{said}")
        self.reason = reason
        self.place = f"the program {reason}"
        self.is_about_question = is_about_question


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that a host sets.

    Attributes:
        call: how long each answer may take, in seconds.
        failures: after this many unanswered questions, it is not asked any more; None: no limit.
        lost: the same after this many seconds in such questions; None: no limit.
    """

    call: float = 10.0
    failures: int | None = None
    lost: float | None = None


class Program:
    """A command that is started for the first question.

    Args:
        command: the program and its arguments.
        folder: where it runs; None: where the host does.
        limits: the host's limits.
    """

    def __init__(
        self, command: Sequence[str], folder: str | None = None, limits: Limits | None = None
    ) -> None:
        self.command = tuple(command)
        self.folder = folder
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._hello: Hello | None = None
        self._end: weakref.finalize[..., Program] | None = None
        self._number = 0
        self._failures = 0
        self._lost = 0.0
        self.stops = 0
        """How often it was stopped."""
        self.last_words = ""
        """Its standard error before its last failure. It may be personal."""

    def __str__(self) -> str:
        return shlex.join(self.command)

    @property
    def pid(self) -> int | None:
        """Its process id; None if it does not run."""
        process = self._process
        return None if process is None else process.pid

    def hello(self) -> Hello:
        """Start it if necessary, and return its introduction.

        Raises:
            ProgramError: it did not answer.
        """
        with self._lock:
            return self._started()[1]

    def ask(self, call: str, arguments: Mapping[str, Json]) -> tuple[Raw | None, Fault | str]:
        """Ask for a call.

        Returns:
            The value; or None, with the failure of the hook or the reason why settings are invalid.

        Raises:
            ProgramError: it did not answer. It is started again for the next question.
        """
        with self._lock:
            process, _ = self._started()
            return self._answer(process, call, arguments, self.limits.call, had_started=True)

    def broken(self, reason: str) -> ProgramError:
        """Kill a process whose answer does not fit the question, and return the error."""
        with self._lock:
            if self._process is None:
                return ProgramError(str(self), reason, "", is_about_question=True)
            return self._failed(self._process, reason, is_about_question=True)

    def stop(self) -> None:
        """End the process. The next question starts another one."""
        self.stops += 1
        process = self._process
        if process is not None and not self._lock.acquire(timeout=STOP):
            process.strike()  # it is being asked something: the one who asks hears that it ended
            self._lock.acquire()
        elif process is None:
            return
        try:
            if self._process is not None:
                self._number += 1
                self._process.stop(call_line(self._number, "stop", {}), STOP)
                self._forget()
        finally:
            self._lock.release()

    def _started(self) -> tuple[Process, Hello]:
        process, hello = self._process, self._hello
        if process is not None and hello is not None:
            return process, hello
        most, lost = self.limits.failures, self.limits.lost
        if (most is not None and self._failures >= most) or (
            lost is not None and self._lost >= lost
        ):
            reason = f"gave no answer {self._failures} times, and is not asked any more"
            raise ProgramError(str(self), reason, "", is_about_question=False)
        try:
            process = Process(self.command, self.folder)
        except ExchangeError as error:
            self._failures += 1
            raise ProgramError(str(self), str(error), "", is_about_question=False) from None
        self._process = process
        self._end = weakref.finalize(self, process.kill)
        about = {"protocol": VERSION}
        value, _ = self._answer(process, "hello", about, START, had_started=False)
        try:
            hello = hello_of(value or Raw(b"null"))
        except LineError as error:
            raise self._failed(process, str(error), is_about_question=False) from None
        self._hello = hello
        return process, hello

    def _answer(
        self,
        process: Process,
        call: str,
        arguments: Mapping[str, Json],
        seconds: float,
        *,
        had_started: bool,
    ) -> tuple[Raw | None, Fault | str]:
        self._number += 1
        started = time.monotonic()
        try:
            line = process.exchange(call_line(self._number, call, arguments), seconds)
            reply = reply_of(line, self._number)
        except (ExchangeError, LineError) as error:
            self._lost += time.monotonic() - started
            blamed = had_started and not isinstance(error, NotAskedError)
            raise self._failed(process, str(error), is_about_question=blamed) from None
        if reply.value is not UNSET:
            return reply.value, ""
        if isinstance(reply.invalid, str):
            return None, reply.invalid
        assert isinstance(reply.error, Fault)  # noqa: S101 -- one of the three is there
        return None, reply.error

    def _failed(self, process: Process, reason: str, *, is_about_question: bool) -> ProgramError:
        """Kill a process that is no longer trusted, and return the error."""
        self._failures += 1
        words = self.last_words = process.words
        process.kill()
        self._forget()
        return ProgramError(str(self), reason, words, is_about_question=is_about_question)

    def _forget(self) -> None:
        self._process = None
        if self._end is not None:
            self._end.detach()
            self._end = None
