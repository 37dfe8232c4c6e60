"""Sends windows from the schedule to the sender, and acts on the answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext as _nothing
from functools import partial
from operator import attrgetter

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.answer_words import answer_words
from destination_router.delivery.asking import Asking
from destination_router.delivery.attempts import POISONED, TRIES, Attempts
from destination_router.delivery.circuit import Circuit
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer, Item, items_of
from destination_router.delivery.ledger import Delivery, Ledger
from destination_router.delivery.observer import Observer
from destination_router.delivery.outcomes import (
    after_failure,
    holds,
    is_own_matter,
    is_vendor_failing,
    own_request,
    took_something,
    wait_for_all,
)
from destination_router.delivery.pairings import Pairings
from destination_router.delivery.permission import Permission
from destination_router.delivery.plan import Plan, PlannedRequest, Planner
from destination_router.delivery.quotas import UNKNOWN, Quotas, QuotaWait
from destination_router.delivery.replays import PROFILES
from destination_router.delivery.schedule import Schedule
from destination_router.delivery.sender import Sender
from destination_router.delivery.states import States
from destination_router.delivery.stats import DeliveryStats
from destination_router.delivery.window import Window
from destination_router.eventlog.dead_letter import (
    EXPIRED,
    EXPIRED_DETAIL,
    DeadLetter,
    tell_expired,
)
from destination_router.eventlog.interface import Event, Held
from destination_router.faults import PASSED_ON, Unanswered, whereabouts
from destination_router.pipeline.answers import wrong_quotas
from destination_router.pipeline.connection import Connection, Decision

_LOOK_PAUSE = 0.1
"""The seconds between checks of a process whether it may deliver again."""

_KEPT_WINDOWS = 4
"""The windows of waiting messages that keep their decisions. Others are decided again later."""

_DELIVERED = Outcome.delivered()
_NEW = {None}  # of messages that are no replays
_offset = attrgetter("offset")

_log = logging.getLogger(__name__)


class Dispatch:
    """Runs one connection's schedule, and owns its windows.

    Args:
        connection: whose messages they are.
        asking: asks its plugin, where that runs in another process.
        sender: sends its requests.
        ledger: is told what ended.
        pairings: keeps the ties that the vendor limits.
        permission: says whether the connection may send.
        settings: how patiently, how many at once.
        stats: counts.
        is_owner: says whether this process may deliver now.
        ages: whether messages may be told to `expire`.
        wall_clock: Unix time in seconds, for dead letters.
        chance: from 0 to 1, evenly; spreads what would happen at once.
        observer: looks on; None: nobody does.
    """

    def __init__(  # noqa: PLR0913 -- each is a part, by keyword
        self,
        connection: Connection,
        *,
        asking: Asking,
        sender: Sender,
        ledger: Ledger,
        pairings: Pairings,
        permission: Permission,
        settings: DeliverySettings,
        stats: DeliveryStats,
        attempts: Attempts,
        is_owner: Callable[[], bool],
        ages: bool,
        wall_clock: Callable[[], float],
        chance: Callable[[], float],
        observer: Observer | None = None,
    ) -> None:
        self._connection = connection
        self._observer = observer
        self._asking = asking
        self._sender = sender
        self._ledger = ledger
        self._pairings = pairings
        self._permission = permission
        self._settings = settings
        self._stats = stats
        self._attempts = attempts
        self._is_owner = is_owner
        self._ages = ages
        self._wall_clock = wall_clock
        self._chance = chance
        self._clock = asyncio.get_running_loop().time
        self._quotas = declared_quotas(connection)
        states = States(settings.remembered_states if settings.skip_repeats else 0)
        self._planner = Planner(connection, self._quotas, states)
        self._window = settings.window_for(connection.window)
        self._schedule = Schedule(self._window, settings.linger, admits_all=self._quotas.are_none)
        self._circuit = Circuit(
            settings.circuit_failures, settings.first_wait, settings.longest_wait
        )
        self._windows: set[asyncio.Task[None]] = set()
        self._in_vain: set[asyncio.Task[None] | None] = set()  # what waits for another one
        self._last_success = float("-inf")
        self._held_alone: dict[Item, Held] = {}
        self._unanswered: set[Item] = set()
        self._awaited: dict[str, float] = {}
        self.changed = asyncio.Event()
        """Set when something may go out or come in that could not before."""

    # -- for the worker ------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """The number of messages that may be read now."""
        # While the connection is held, one user's backlog must not keep the next user from asking.
        looks_for_others = self._permission.held is not None and not self._schedule.has_choice
        if self._schedule.unseen >= 2 * self._window and not looks_for_others:
            return 0
        free = self._settings.parked_messages - len(self._schedule)
        return max(0, min(self._window, free))

    def expect_more(self, *, are_at_hand: bool) -> None:
        """Say whether more messages are at hand, to be added as soon as they are decided.

        A window that is not full waits for them, for `linger` at most.
        """
        now = self._clock()
        self._schedule.expect(now + self._settings.linger if are_at_hand else now)

    def add(self, events: Sequence[Event], decisions: Sequence[Decision]) -> None:
        """Add messages to send, with what the connection makes of each."""
        items = items_of(events, decisions)
        if self._ages:
            now = self._wall_clock()
            for item, event in zip(items, events, strict=True):
                item.received_at = now if event.received_at is None else event.received_at
        if {item.replay for item in items} != _NEW:
            for event, decision in zip(events, decisions, strict=True):
                if event.replay == PROFILES:
                    self._planner.send_again(decision)
        self._schedule.add(items, self._clock())
        if self._is_crowded:
            for item in items:
                if item.blockers or self._permission.held is not None:
                    self._park(item)

    def expire(self, max_age: float) -> None:
        """Give up messages that wait and that the log got so many seconds ago, or earlier.

        Those of a window wait, too, while a plugin in another process is asked how to pack it.
        """
        if not self._is_owner():
            return  # another process has the messages by now
        before = self._wall_clock() - max_age
        asked = [item for item in self._unanswered if item.received_at <= before]
        self._give_up_old(asked)  # first: what is behind them is no longer under way then
        self._unanswered.difference_update(asked)
        old = self._schedule.take_out(lambda item: item.received_at <= before)
        self._give_up_old(old)
        if offsets := sorted(map(_offset, (*asked, *old))):
            tell_expired(self._connection.name, offsets)
            self.changed.set()

    def launch(self) -> bool:
        """Send the next window, if there is one and it may go now."""
        now = self._clock()
        opens = self._opens_at(now)
        if opens is None or opens > now:
            return False
        most = self._window
        if self._permission.held is not None:
            most = 1
            items = self._schedule.take_one(now, self._admit)
        else:
            if self._circuit.state(now) == "half_open":
                most = 1
            items = self._schedule.take(now, self._admit, most)
        if not items:
            return False
        self._circuit.begin()
        self._permission.begin()
        window = asyncio.create_task(self._send_window(items, is_full=len(items) == most))
        self._windows.add(window)
        window.add_done_callback(self._window_over)
        return True

    def wake_at(self) -> float | None:
        """Say when `launch` may do something, on the event loop's clock; None: after a change."""
        now = self._clock()
        opens = self._opens_at(now)
        wake = self._schedule.wake_at(now)
        return None if opens is None or wake is None else max(opens, wake)

    def quota_use(self) -> dict[str, tuple[int, int]]:
        """Return the used and total amount of each quota of the connection."""
        return self._quotas.use(self._clock())

    def update_stats(self) -> None:
        """Update the numbers that are not counters."""
        self._stats.waiting = len(self._schedule)
        self._stats.parked = self._schedule.parked
        self._stats.at_quotas = self._schedule.in_lanes
        now = self._clock()
        self._awaited = {quota: until for quota, until in self._awaited.items() if until > now}
        self._stats.awaited_quotas = {q: until - now for q, until in self._awaited.items()}
        self._stats.circuit = self._circuit.state(now)
        self._stats.paused = self._permission.paused
        lasting = [*self._held_alone.values()]
        lasting += [each for each in (self._permission.held, self._asking.held) if each is not None]
        codes = {each.code for each in lasting}
        self._stats.holds = {code: code in codes for code in (*self._stats.holds, *codes)}
        known = (each.since for each in lasting if each.since is not None)
        self._stats.held_since = min(known, default=None)

    def seconds_for(self, share: float) -> float:
        """Estimate the least time that quotas need for a share of what was sent so far."""
        return self._quotas.seconds_for(share, self._clock())

    async def finish(self, until: float) -> None:
        """Wait for what is under way, until a time on the event loop's clock, then cancel it."""
        if self._windows:
            await asyncio.wait(self._windows, timeout=max(0.0, until - self._clock()))
        windows = list(self._windows)
        for window in windows:
            window.cancel()
        await asyncio.gather(*windows, return_exceptions=True)

    # -- for windows: their owner ---------------------------------------------------------------

    def may_send(self) -> bool:
        """Whether another request may go out now."""
        return (
            self._is_owner()
            and self._circuit.may_send(self._clock())
            and self._permission.may_send()
        )

    async def send(self, planned: PlannedRequest) -> Answer:
        """Send a planned request, unless one of its ties forbids it, and learn from the answer."""
        if (told := await self._pairings.before(planned.request)) is not None:
            self._quotas.release(planned.costs)
            made = all(outcome.result == "delivered" for outcome in told.outcomes.values())
            self._stats.skipped += made
            return told
        self._stats.in_flight += 1
        if self._stats.unanswered_since is None:
            self._stats.unanswered_since = self._clock()
        try:
            answer = await self._sender.attempt(planned.request)
            answer = self._permission.read(planned.request, answer)
        finally:
            self._stats.in_flight -= 1
            self._quotas.settle(planned.costs, self._clock())
        response = answer.response
        self._stats.requests[str(response.status) if response else "network"] += 1
        if answer.failure:
            self._stats.last_failure = answer.failure
            detail = {"connection": self._connection.name, "detail": answer.failure}
            _log.warning("vendor_unreachable", extra=detail)
        if answer.is_cut and response is not None:
            about = {"connection": self._connection.name, "status": response.status}
            _log.warning("answer_cut", extra=about)
        self._stats.latency.observe(answer.seconds)
        self._learn(answer)
        if self._observer is not None:
            self._observer.answered(planned.request, planned.carries, answer)
        await self._pairings.after(planned.request, answer)
        return answer

    def took(self, item: Item, index: int) -> None:
        """The vendor took one of a message's requests, and others are still to come."""
        self._planner.delivered(item, index)

    def delivered(self, items: Sequence[Item]) -> None:
        """The vendor has all of these messages."""
        self._planner.all_delivered(items)
        self._stats.delivered += len(items)
        self._schedule.done_all(items, self._clock())
        if self._held_alone:
            for item in items:
                self._held_alone.pop(item, None)
        self._ledger.end_all(
            [item.offset for item in items],
            lambda: [
                Delivery(item.decision or _forgotten(item), _DELIVERED, item.offset)
                for item in items
            ],
        )

    def again(self, items: Sequence[Item]) -> None:
        """Messages that were not at fault go out again at once."""
        now = self._clock()
        self._planner.forget(items)
        for item in items:
            self._schedule.put_back(item, now, now)

    def retry(self, items: Sequence[Item], outcomes: Sequence[Outcome], answer: Answer) -> None:
        """The vendor could not take messages now: later, unless patience ends."""
        now = self._clock()
        self._planner.forget(items)
        for item in items:
            item.attempts += 1
            item.tried_since = now if item.tried_since is None else item.tried_since
        then = after_failure(
            items,
            outcomes,
            answer,
            settings=self._settings,
            now=now,
            last_success=self._last_success,
            chance=self._chance(),
        )
        for at in then.given_up:
            self._give_up(items[at], None, outcomes[at], answer)
        self._stats.retried += len(then.lasting)
        if then.apart:
            self._schedule.put_apart(then.lasting, then.at)
        else:
            self._schedule.put_together(then.lasting, now, then.at)
        for item in then.lasting:
            self._park(item)

    def apart(self, items: Sequence[Item]) -> None:
        """One of several messages is at fault: find it by halves."""
        self._planner.forget(items)
        self._stats.retried += len(items)
        self._schedule.put_apart(items, self._clock())

    def held(self, items: Sequence[Item], outcomes: Sequence[Outcome], answer: Answer) -> None:
        """The vendor takes nothing of this connection now, or not these messages.

        No attempt is counted: nothing is wrong with them.
        """
        now = self._clock()
        self._stats.held_detail = outcomes[0].detail
        if self._permission.held is not None:
            self._permission.refuse(outcomes[0].code, answer)
            self.again(items)
        else:
            own = is_own_matter(items, answer, self._last_success)
            self._planner.forget(items)
            for item in items:
                item.held += 1
                item.held_at = now
            if own:
                self._hold_alone(items, outcomes)
            else:
                self._permission.refuse(outcomes[0].code, answer)
                # Together: should they be held again, it shows that it is for what they are.
                self._schedule.put_together(items, now, now)
        for item in items:
            self._park(item)

    def dead_letter(
        self, item: Item, request: HttpRequest | None, outcome: Outcome, answer: Answer
    ) -> None:
        """The vendor will never take a message."""
        item.attempts += 1
        self._planner.forget([item])
        self._give_up(item, request, outcome, answer)

    # -- inside --------------------------------------------------------------------------------

    def _opens_at(self, now: float) -> float | None:
        """Say when a window may set off: `now`, later, or None (after another one has ended)."""
        if not self._is_owner():
            return now + _LOOK_PAUSE
        opens = self._circuit.opens_at(now), self._permission.opens_at(now)
        # What set off before the hold shall not be taken for the answer to what asks.
        most = self._settings.concurrency if self._permission.held is None else 1
        if len(self._windows) >= most or opens[0] is None or opens[1] is None:
            return None
        return max(opens[0], opens[1])

    def _hold_alone(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        """Hold messages that the vendor refuses while it takes others, as two halves."""
        now = self._clock()
        new = {
            item: Held(outcome.code, self._wall_clock())
            for item, outcome in zip(items, outcomes, strict=True)
            if item not in self._held_alone
        }
        if new:
            self._held_alone |= new
            about = {"connection": self._connection.name, "code": outcomes[0].code}
            _log.warning("messages_held", extra={**about, "count": len(new)})
        doublings = min(max(item.held for item in items) - 1, 30)
        wait = min(self._settings.longest_hold, self._settings.hold_wait * 2.0**doublings)
        middle = (len(items) + 1) // 2
        for half in filter(None, (items[:middle], items[middle:])):
            self._schedule.put_together(half, now, now + wait)

    def _admit(self, item: Item) -> QuotaWait | None:
        try:
            forgotten = item.decision is None
            with self._attempts.at_hand([item.offset], again=True) if forgotten else _nothing():
                wait = self._planner.admit(item, self._clock())
        except Unanswered:  # as it is planned it is asked first
            return None
        except PASSED_ON:
            raise
        except BaseException:  # noqa: BLE001 -- as it is planned it fails again, and is counted
            return None
        if wait is not None:
            self._await(wait)
            self._park(item)
        return wait

    def _await(self, wait: QuotaWait) -> None:
        """Count a message that a quota keeps back. The first quota with room is reported."""
        self._stats.quota_waits[wait.quota] += 1
        known = self._awaited.get(wait.quota, 0.0)
        is_over = known <= self._clock()
        self._awaited[wait.quota] = wait.until if is_over else min(known, wait.until)

    async def _send_window(self, items: Sequence[Item], *, is_full: bool) -> None:
        suspects = self._attempts.suspects
        if suspects and len(items) > 1 and any(self._attempts.tries(i.offset) for i in items):
            # A process died with some of these at hand, perhaps of them together: each goes alone.
            self._part(items)
            return
        try:
            plan = await self._planned(items)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- it is found out whose fault it is
            self._unplanned(_unended(items), whereabouts(error))
            return
        self._stats.skipped += plan.skipped
        if plan.finished:
            self.delivered(plan.finished)
        self._keep_back(plan, is_full=is_full)
        if not (plan.steps or plan.finished) and _awaits_answer(plan):
            self._in_vain.add(asyncio.current_task())
        window = Window(plan, self)
        try:
            await window.run()
        except PASSED_ON:
            raise
        except BaseException:  # noqa: BLE001 -- logged with its traceback
            # A defect of ours must not lose messages, nor stop the rest.
            _log.exception("a window of %s failed; it is sent again", self._connection.name)
            if left := window.untold():
                outcomes = [Outcome.retry(code="internal")] * len(left)
                self.retry(left, outcomes, Answer(outcomes={}, response=None))
        finally:
            for planned in window.unsent():
                self._quotas.release(planned.costs)

    def _keep_back(self, plan: Plan, *, is_full: bool) -> None:
        """Let messages that a quota keeps back after all go with others, or when it has room."""
        # Taken again, they would fill the next window just so, and no other message would go.
        are_alone = is_full and not plan.steps and not plan.finished
        for item, wait in plan.kept_back:
            self._await(wait)
            if are_alone:
                self._schedule.stall(item, wait)
            else:
                self._schedule.hold(item, wait.until)

    async def _planned(self, items: Sequence[Item]) -> Plan:
        """Plan a window. Ask a plugin in another process about it first."""
        if not self._asking.is_needed:
            return self._plan(items)
        parked = [item for item in items if item.decision is None]
        decide = [partial(self._connection.decide, item.body) for item in parked]
        questions = self._asking.noted(decide)
        self._unanswered.update(items)
        try:
            await self._asking.answer(questions)
            return await self._asking.done(partial(self._plan_unended, items))
        finally:
            self._unanswered.difference_update(items)
            self._asking.used(questions)

    def _plan_unended(self, items: Sequence[Item]) -> Plan:
        """Plan a window without messages that have grown too old meanwhile."""
        return self._plan(_unended(items))

    def _plan(self, items: Sequence[Item]) -> Plan:
        try:
            with self._attempts.at_hand([item.offset for item in items]):
                return self._planner.plan(items, self._clock())
        except Unanswered:
            self._unreserve(items)
            raise

    def _unplanned(self, items: Sequence[Item], place: str) -> None:
        """Find the message with which no window can be planned, by halves, and give it up."""
        if not items:
            return  # all have grown too old meanwhile
        if len(items) > 1:
            self._part(items)
            return
        self._unreserve(items)
        now = self._clock()
        (item,) = items
        item.unplanned += 1
        if item.unplanned < TRIES:
            self._schedule.put_apart(items, now + self._settings.first_wait)
            return
        outcome = Outcome.rejected(POISONED, place)
        self._give_up(item, None, outcome, Answer(outcomes={}, response=None))

    def _part(self, items: Sequence[Item]) -> None:
        """Send the messages of a window that could not be planned as two halves."""
        self._unreserve(items)
        self._schedule.put_apart(items, self._clock())

    def _unreserve(self, items: Sequence[Item]) -> None:
        for item in items:
            self._quotas.release(item.reserved)
            item.reserved = ()
        self._planner.forget(items)

    def _window_over(self, window: asyncio.Task[None]) -> None:
        self._windows.discard(window)
        self._circuit.cease()
        self._permission.cease()
        # Looked at again now, what waits for another window's answer would be kept back again at
        # once, and so on until that is there.
        if window not in self._in_vain or not self._windows:
            self._schedule.answered(self._clock())
            self._awaited = {q: until for q, until in self._awaited.items() if until != UNKNOWN}
        self._in_vain.discard(window)
        self.changed.set()

    def _learn(self, answer: Answer) -> None:
        now = self._clock()
        if asked := wait_for_all(answer):
            self._circuit.wait_until(now + asked)
        if is_vendor_failing(answer):
            self._circuit.fail(now, self._chance())
        elif holds(answer) and not took_something(answer):
            self._circuit.succeed()
        else:
            self._circuit.succeed()
            self._last_success = now
            self._stats.unanswered_since = now if self._stats.in_flight else None

    def _give_up_old(self, items: Sequence[Item]) -> None:
        self._unreserve(items)
        outcome = Outcome.rejected(EXPIRED, EXPIRED_DETAIL)
        for item in items:
            self._give_up(item, None, outcome, Answer(outcomes={}, response=None))

    def _give_up(
        self, item: Item, request: HttpRequest | None, outcome: Outcome, answer: Answer
    ) -> None:
        own = request or (own_request(item, None) if item.attempts else None)
        response = answer.response
        words = "" if response is None else answer_words(self._connection, response)
        code = outcome.code or outcome.result
        letter = DeadLetter(
            connection=self._connection.name,
            message_id=item.message_id,
            offset=item.offset,
            body=self._connection.kept(item.body),
            code=code,
            detail=outcome.detail,
            at=self._wall_clock(),
            attempts=item.attempts,
            request=None if own is None else self._connection.shown(own),
            status=None if response is None else response.status,
            answer=words,
        )
        self._stats.rejected[code] += 1
        self._end(item, outcome, letter)

    def _end(self, item: Item, outcome: Outcome, letter: DeadLetter | None = None) -> None:
        self._schedule.done(item, self._clock())
        self._held_alone.pop(item, None)
        self._ledger.end(_fate(item, outcome), letter)

    def _park(self, item: Item) -> None:
        """Drop what can be recomputed, so that many messages can wait."""
        if self._is_crowded:
            item.decision = None

    @property
    def _is_crowded(self) -> bool:
        return len(self._schedule) > _KEPT_WINDOWS * self._window


def _awaits_answer(plan: Plan) -> bool:
    return any(wait.until == UNKNOWN for _, wait in plan.kept_back)


def _unended(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if not item.ended]


def _fate(item: Item, outcome: Outcome) -> Delivery:
    return Delivery(item.decision or _forgotten(item), outcome, item.offset)


def _forgotten(item: Item) -> Decision:
    """Replace the decision of a parked message."""
    return Decision(message_id=item.message_id, result="requests")


def declared_quotas(connection: Connection) -> Quotas:
    """Ask a destination for its vendor's limits. Without any, only the vendor's answers count."""
    if "quotas" not in connection.plugin.capabilities:
        return Quotas(())
    try:
        declared = connection.plugin.hook.quotas(settings=connection.settings)
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not stop its connection
        _log.error("quotas of %s failed: %s", connection.plugin.origin, whereabouts(error))
        return Quotas(())
    if problem := wrong_quotas(declared):
        _log.error("quotas of %s %s", connection.plugin.origin, problem)
        return Quotas(())
    return Quotas(declared)
