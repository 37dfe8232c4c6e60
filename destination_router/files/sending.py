"""`send`: send a file of messages to the vendor, packed and in order, and report each one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from destination_router.contract.records import Outcome
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.sender import Sender
from destination_router.delivery.stats import DeliveryStats
from destination_router.delivery.worker import Delivery, Worker
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.interface import PairingBook, StandingBook
from destination_router.files.file_source import FileSource
from destination_router.files.line_sources import LineSource
from destination_router.files.resuming import SendState
from destination_router.pipeline.connection import Connection

MOST_ATTEMPTS = 20
"""The most attempts for a message. After that, it is left to the next run."""

_DELIVERED = Outcome.delivered()
_GRACE = 5.0
_LOOK_PAUSE = 0.1


class Summary(msgspec.Struct):
    """The result for a file.

    Attributes:
        messages: how many this run is done with: delivered, filtered or rejected.
        delivered: how many the vendor has.
        filtered: how many were not for this connection.
        rejected: how many the destination or the vendor refused, by code.
        notes: how often each code was noted.
        passed_over: how many were done with in a former run.
        left: how many the next run of the same command has left to send; of a stream that was
            not read to its end, at least.
        answers: requests sent, by what came back: a status such as `200`, or `network`.
        failure: what went wrong the last time that no answer came; empty: never.
        interrupted: whether Ctrl-C ended it.
        timed_out: whether it ended because the vendor took nothing, or a person let it send
            nothing, for as long as it was to wait.
        held: why the vendor took nothing of the connection when it ended: code and the vendor's
            words. Empty if it was not held.
        paused: whether a person had paused the connection when it ended.
        broken: where the file cannot be read further; None if it was read to its end.
    """

    messages: int = 0
    delivered: int = 0
    filtered: int = 0
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    notes: Counter[str] = msgspec.field(default_factory=Counter)
    passed_over: int = 0
    left: int = 0
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    failure: str = ""
    interrupted: bool = False
    timed_out: bool = False
    held: str = ""
    paused: bool = False
    broken: str | None = None

    @property
    def all_well(self) -> bool:
        """Whether everything in the file is delivered or filtered."""
        return not (self.rejected or self.left or self.broken)

    def count(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Count messages, but not those that are left for the next run.

        Returns:
            Those that the vendor does not have.
        """
        outcomes = [each.outcome for each in deliveries]
        others: list[Delivery] = []
        if outcomes.count(_DELIVERED) < len(outcomes):  # as seldom
            others = [each for each in deliveries if not _is_delivered(each)]
        ended = [each for each in deliveries if not _is_left(each)] if others else deliveries
        self.messages += len(ended)
        self.delivered += len(deliveries) - len(others)
        self.notes.update([note.code for each in ended for note in each.decision.notes])
        for delivery in others:
            if delivery.rejected and not _is_left(delivery):
                self.rejected[_why(delivery)[0]] += 1
            elif not delivery.rejected:
                self.filtered += 1
        return others

    def as_json(self) -> dict[str, Any]:
        """Turn it into what `send --json` prints."""
        return {
            "messages": self.messages,
            "delivered": self.delivered,
            "filtered": self.filtered,
            "rejected": dict(self.rejected),
            "notes": dict(self.notes),
            "passedOver": self.passed_over,
            "left": self.left,
            "answers": dict(self.answers),
            "failure": self.failure or None,
            "interrupted": self.interrupted,
            "timedOut": self.timed_out,
            "held": self.held,
            "paused": self.paused,
            "broken": self.broken,
        }


def complaint(place: str, delivery: Delivery) -> str | None:
    """Say why a message was not delivered: `line 3 (m3): missing_event: ...`.

    Args:
        place: where it stands: `line 3`.
        delivery: what became of it.

    Returns:
        One line; None if nothing did.
    """
    if not delivery.rejected:
        return None
    message_id = delivery.decision.message_id
    named = f"{place} ({message_id})" if message_id else place
    told = (named, "left" if _is_left(delivery) else "", *_why(delivery))
    return ": ".join(part for part in told if part)


def _is_left(delivery: Delivery) -> bool:
    """Tell whether a message is left for the next run, because the vendor may still take it."""
    return delivery.outcome is not None and delivery.outcome.result == "retry"


def _is_delivered(delivery: Delivery) -> bool:
    return delivery.outcome is not None and delivery.outcome.result == "delivered"


def _why(delivery: Delivery) -> tuple[str, str]:
    if delivery.outcome is not None:
        code = delivery.outcome.code or delivery.outcome.result
        return code, delivery.outcome.detail
    reject = delivery.decision.reject
    return ("", "") if reject is None else (reject.code, reject.detail)


class View(msgspec.Struct, frozen=True):
    """The state of a run, for a progress bar.

    Attributes:
        bytes_done: of the file's lines.
        summary: what became of messages so far.
        stats: the worker's.
        bytes_passed_over: of these, those that were done with in a former run.
        seconds_for: how long the vendor's limits let it take at least to send a share of what
            this run has sent so far.
    """

    bytes_done: int
    summary: Summary
    stats: DeliveryStats
    bytes_passed_over: int = 0
    seconds_for: Callable[[float], float] = lambda _: 0.0


async def send_lines(  # noqa: PLR0913 -- each is a part, by keyword
    connection: Connection,
    lines: LineSource,
    *,
    settings: DeliverySettings,
    state: SendState,
    pairings: PairingBook,
    standing: StandingBook | None = None,
    quarantine: Watch,
    report: Callable[[str, Delivery], None],
    watch: Callable[[View], None],
    patience: float,
) -> Summary:
    """Send messages, each user's in order, and report each one when it is done.

    It ends early if it is cancelled (Ctrl-C), if the vendor takes nothing for too long, or if the
    file breaks off. Requests under way may still arrive, and the rest is left to the next run.

    Args:
        connection: where to.
        lines: the messages.
        settings: how patiently, how many at once, and so on.
        state: which lines are done with; brought up to date and, at the end, forgotten.
        pairings: the book of ties that the vendor limits.
        standing: the book of proven origins and a person's orders.
        quarantine: holds back identities that too many carry.
        report: gets the place (`line 3`) and the result of each message that the vendor does not
            have, when it ends.
        watch: is told several times a second how it stands.
        patience: for how long the vendor may take nothing, or the connection be paused, in seconds.
    """
    summary = Summary()
    source = FileSource(lines, state)

    def count(deliveries: Sequence[Delivery]) -> None:
        others = summary.count(deliveries)
        for delivery in others:
            report(source.place(delivery.offset), delivery)
        source.keep([delivery.offset for delivery in others if _is_left(delivery)])

    async with Sender(connection, settings) as sender:
        worker = Worker(
            connection,
            source,
            sender,
            dead_letters=DroppedDeadLetters(),
            settings=settings,
            pairings=pairings,
            standing=standing,
            quarantine=quarantine,
            report=count,
        )
        working = asyncio.create_task(worker.run())

        def show() -> None:
            passed_over = source.bytes_passed_over
            stats = worker.stats
            watch(View(source.bytes_done, summary, stats, passed_over, worker.seconds_for))

        watching = asyncio.create_task(_watch(show, worker, patience))
        finishing = asyncio.create_task(source.finished.wait())
        try:
            await asyncio.wait({working, watching, finishing}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            summary.interrupted = True
        finally:
            if not working.done():
                summary.timed_out = _has_returned(watching) and not summary.interrupted
                await worker.stop(min(_GRACE, patience) if summary.timed_out else _GRACE)
            watching.cancel()
            finishing.cancel()
            await working
            state.save()
    summary.passed_over = source.passed_over
    summary.left = source.left(to_the_end=state.kept)
    summary.answers = worker.stats.requests
    summary.failure = worker.stats.last_failure
    summary.held = held_words(worker.stats)
    summary.paused = worker.stats.paused
    summary.broken = lines.broken
    if not (summary.left or summary.broken):
        state.finish()
    return summary


def held_words(stats: DeliveryStats) -> str:
    """Say why the vendor takes nothing of a connection: `http_401: no`; empty if it is not held."""
    codes = [code for code, lasts in stats.holds.items() if lasts]
    return ": ".join(filter(None, (", ".join(codes), stats.held_detail))) if codes else ""


def _has_returned(task: asyncio.Task[None]) -> bool:
    return task.done() and task.exception() is None


async def _watch(show: Callable[[], None], worker: Worker, patience: float) -> None:
    """Show how it stands, until nothing was sent, or taken, for too long."""
    clock = asyncio.get_running_loop().time
    paused_since: float | None = None
    while True:
        stats = worker.stats
        if not stats.paused:
            paused_since = None
        elif paused_since is None:
            paused_since = clock()
        waits = [at for at in (stats.unanswered_since, paused_since) if at is not None]
        if waits and clock() - min(waits) >= patience:
            return
        show()
        await asyncio.sleep(_LOOK_PAUSE)
