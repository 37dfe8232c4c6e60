"""Asks a plugin in another process, beside the event loop, so that no other events wait.

A program that is silent or dies holds its connection: everything waits, and the program is started
again after a pause. A question about several messages is then asked in halves, until the message at
fault stands alone. If the program fails at one question three times, the host answers it: a message
becomes a dead letter, a window goes out unpacked, or a vendor's answer is read by the default
rules.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from destination_router.delivery.attempts import TRIES
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.eventlog.interface import Held
from destination_router.faults import Unanswered
from destination_router.pipeline.connection import Connection
from destination_router.programs.destination import ProgramError, ProgramHooks, Question
from destination_router.threads import in_thread

UNAVAILABLE = "plugin_unavailable"
"""The code of a hold because the plugin does not answer."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Asking:
    """The questions to one connection's plugin. A plugin in this process needs none.

    Args:
        connection: whose plugin it is.
        settings: how long to wait before the program is started again.
        wall_clock: Unix time in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        settings: DeliverySettings,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        elsewhere = connection.plugin.elsewhere
        self._hooks = elsewhere if isinstance(elsewhere, ProgramHooks) else None
        self._settings = settings
        self._wall_clock = wall_clock
        self._pause = settings.first_wait
        self.held: Held | None = None
        """The time since which the program has not answered; None: it answers."""
        self._unused: set[Question] = set()
        if self._hooks is not None:
            self._hooks.answer_ahead(ahead=True)

    @property
    def is_needed(self) -> bool:
        """Whether the plugin runs in another process."""
        return self._hooks is not None

    def noted(self, decide: Sequence[Callable[[], object]]) -> list[Question]:
        """Find the questions to the plugin that deciding about messages needs.

        Args:
            decide: decides about one message each.
        """
        if self._hooks is None:
            return []
        with self._hooks.noting() as questions:
            for each in decide:
                each()
        return questions

    async def answer(self, questions: Sequence[Question]) -> None:
        """Get answers to questions. Returns when all have one, however long that takes."""
        hooks = self._hooks
        if hooks is None or not questions:
            return
        groups = [list(dict.fromkeys(questions))]
        self._unused.update(groups[0])
        failures: dict[Question, int] = {}
        while groups:
            group = groups.pop()
            try:
                await in_thread(functools.partial(hooks.answer, group), "program")
            except ProgramError as error:
                groups += self._after(error, group, failures)
                await asyncio.sleep(self._pause)
                self._pause = min(self._settings.longest_wait, self._pause * 2)
            else:
                self._goes_on()

    def used(self, questions: Sequence[Question]) -> None:
        """Forget answers that have been used."""
        if self._hooks is not None:
            self._hooks.forget(questions)
            self._unused.difference_update(questions)

    async def done(self, work: Callable[[], T]) -> T:
        """Do work that may need an answer. If there is none yet, ask, and repeat the work.

        Args:
            work: leaves nothing half done if it lacks an answer.
        """
        asked: list[Question] = []
        try:
            while True:
                try:
                    return work()
                except Unanswered as unanswered:
                    question = cast("Question", unanswered.question)  # nobody else raises it
                    asked.append(question)
                await self.answer(asked[-1:])
        finally:
            self.used(asked)

    async def close(self) -> None:
        """End the program, and forget unused answers."""
        if self._hooks is not None:
            self._hooks.forget(list(self._unused))
            self._unused.clear()
            await in_thread(self._hooks.program.stop, "program")

    def _after(
        self, error: ProgramError, group: list[Question], failures: dict[Question, int]
    ) -> list[list[Question]]:
        """Choose what to ask next, after a program did not answer."""
        self._hold(error)
        if not error.is_about_question:
            return [group]
        if len(group) > 1:
            middle = (len(group) + 1) // 2
            return [group[middle:], group[:middle]]
        (question,) = group
        failures[question] = failures.get(question, 0) + 1
        if failures[question] < TRIES:
            return [group]
        assert self._hooks is not None  # noqa: S101 -- it was asked
        self._hooks.give_up(question, f"{error.place}, {TRIES} times at this")
        return []

    def _hold(self, error: ProgramError) -> None:
        about = {"connection": self._connection.name, "code": UNAVAILABLE, "detail": error.place}
        if self.held is None:
            self.held = Held(UNAVAILABLE, self._wall_clock())
            _log.warning("connection_held", extra=about)
        else:
            _log.warning("plugin_failed", extra=about)

    def _goes_on(self) -> None:
        self._pause = self._settings.first_wait
        if self.held is None:
            return
        seconds = self.held.seconds(self._wall_clock())
        about = {"connection": self._connection.name, "code": UNAVAILABLE, "seconds": seconds}
        self.held = None
        _log.warning("connection_goes_on", extra=about)
