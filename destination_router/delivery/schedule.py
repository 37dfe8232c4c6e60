"""Decides which messages may go out now: each user's in order, different users' together. Pure.

It is a state machine: messages come in (`add`), go out in windows (`take`), and each one ends
(`done`) or comes back (`put_back`, `put_apart`, `hold`). One that has waited for too long ends
without going out again (`take_out`). Time is an argument. A message may go out if every earlier
message of its users has ended or goes out in the same window. So a message that has to wait holds
back only its users' later messages, and those are not looked at again before it has ended.

A message that has neither ended nor is under way is in one of these places:
- behind an earlier message of its users;
- in the frontier: it may go out;
- asleep until a time: the vendor asked for a retry;
- in the lane of a quota that is used up;
- in a group: refused or failed together, to be sent apart from all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from operator import attrgetter

from destination_router.delivery.item import FailedTogether, Item
from destination_router.delivery.quotas import UNKNOWN, QuotaWait

Admit = Callable[[Item], QuotaWait | None]
"""Reserves a message's costs from the quotas, or returns what blocks it."""

_Heap = list[tuple[int, Item]]

_MOST_GROUPS = 256

_offset = attrgetter("offset")


class _Lane:
    """The messages that wait for one budget, by offset, and the time when it may have room."""

    __slots__ = ("heap", "until")

    def __init__(self) -> None:
        self.heap: _Heap = []
        self.until = 0.0


class Schedule:
    """One connection's messages that were read and have not ended.

    Args:
        window: how many messages go out together at most.
        linger: how long a smaller window waits for more, in seconds.
        admits_all: whether every message is admitted, because there are no quotas. Then `admit` is
            asked only about messages that have to be decided again.
    """

    def __init__(self, window: int, linger: float, *, admits_all: bool = False) -> None:
        self._window = window
        self._linger = linger
        self._admits_all = admits_all
        self._last: dict[str, Item] = {}
        self._frontier: _Heap = []
        self._asleep: list[tuple[float, int, Item]] = []
        self._alarms: list[float] = []
        self._held_for_answer = False
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._groups: list[FailedTogether] = []
        self._due: float | None = None
        self._more_by = -inf
        self._waiting = 0
        self._under_way = 0
        self._unseen = 0
        self._asked = -1
        self._newest = -1  # of all offsets that were ever added, the highest

    def __len__(self) -> int:
        """Return how many messages have not ended."""
        return self._waiting + self._under_way

    @property
    def unseen(self) -> int:
        """About how many messages could go out in later windows, as far as is known."""
        # All others are behind messages that wait for a time or a quota, which may last.
        return self._unseen if self._frontier or self._under_way else 0

    @property
    def has_choice(self) -> bool:
        """Whether messages of different users may go out."""
        failed = sum(not item.blockers for group in self._groups for item in group.items)
        return len(self._frontier) + failed > 1

    @property
    def parked(self) -> int:
        """How many messages wait for a time or a quota, without those behind them."""
        groups = sum(len(group.items) for group in self._groups)
        return len(self._asleep) + self.in_lanes + groups

    @property
    def in_lanes(self) -> int:
        """How many of those wait for a quota."""
        return sum(len(lane.heap) for lane in self._lanes.values())

    # -- in and out -------------------------------------------------------------------------

    def add(self, items: Sequence[Item], now: float) -> None:
        """Take in new messages. The offsets of those that share a user must rise."""
        last, frontier, newest = self._last, self._frontier, self._newest
        is_one_free = False
        item: Item
        earlier: Item
        for item in items:
            before: dict[Item, None] | None = None
            for key in item.keys:
                earlier = last.setdefault(key, item)
                if earlier is not item:
                    before = before or {}
                    before[earlier] = None
                    last[key] = item
            if before is None:
                is_one_free = True
                offset = item.offset
                if offset > newest:  # as nearly always: behind all that are there, so in its place
                    newest = offset
                    frontier.append((offset, item))
                else:
                    heappush(frontier, (offset, item))
                continue
            newest = max(newest, item.offset)
            item.blockers = len(before)
            for earlier in before:
                earlier.followers = (*earlier.followers, item)
        self._newest = newest
        self._waiting += len(items)
        self._unseen += len(items)
        if is_one_free:
            self._touch(now + self._linger)

    def expect(self, until: float) -> None:
        """Let a window that is not full wait, until a time, for messages that are at hand already.

        Otherwise what is read at once goes out in parts, where it takes longer than `linger` to
        decide about all of it.
        """
        self._more_by = until

    def take(self, now: float, admit: Admit, most: int | None = None) -> list[Item]:
        """Choose the messages that go out together now, by offset; none if it is too early.

        Args:
            now: seconds on any clock that never goes back.
            admit: asked about each message in turn.
            most: a maximum below a window.
        """
        self._wake(now)
        most = self._window if most is None else most
        taken = self._take_group(now, admit, most)
        if not taken and self._is_due(now):
            taken = self._take_window(now, admit, most)
        self._waiting -= len(taken)
        self._under_way += len(taken)
        return taken

    def take_one(self, now: float, admit: Admit) -> list[Item]:
        """Choose one message that asks whether a vendor takes anything again; none if too early.

        The messages that may go out take turns, and so do their users: if a vendor refuses a
        message for its content, another one asks next.

        Args:
            now: seconds on any clock that never goes back.
            admit: asked about a message before it is chosen.
        """
        self._wake(now)
        taken = self._take_turn(now, admit)
        if not taken and self._is_due(now):
            taken = self._take_window(now, admit, 1)
        self._waiting -= len(taken)
        self._under_way += len(taken)
        return taken

    def wake_at(self, now: float) -> float | None:
        """Return when `take` may have messages: `now` or later; None: only after another event."""
        if self._is_due(now):
            return now
        times = [lane.until for lane in self._lanes.values()]
        times += [at for group in self._groups if (at := group.next_at()) is not None]
        times += [max(time, self._more_by) for time in (self._due,) if time is not None]
        times += [entry[0] for entry in self._asleep[:1]] + self._alarms[:1]
        soonest = min(times, default=UNKNOWN)
        return None if soonest == UNKNOWN else max(now, soonest)

    def take_out(self, is_over: Callable[[Item], bool]) -> list[Item]:
        """Choose waiting messages that shall not go out any more. The caller ends them (`done`).

        Those behind a message that is under way are not looked at before it comes back.
        """
        over = {item for item in self._that_wait() if is_over(item)}
        if not over:
            return []
        for heap in (self._frontier, *(lane.heap for lane in self._lanes.values())):
            heap[:] = [(offset, item) for offset, item in heap if item not in over]
            heapify(heap)
        self._asleep = [sleeper for sleeper in self._asleep if sleeper[2] not in over]
        heapify(self._asleep)
        for group in self._groups:
            group.items = [item for item in group.items if item not in over]
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.heap}
        self._groups = [group for group in self._groups if group.items]
        self._unseen = max(0, self._unseen - len(over))
        self._waiting -= len(over)
        self._under_way += len(over)
        for item in over:
            item.under_way = True
        return sorted(over, key=_offset)

    # -- the fate of messages under way ------------------------------------------------------

    def done(self, item: Item, now: float) -> None:
        """End a message for good. Its users' next may go once all before it have ended too."""
        item.under_way = False
        item.ended = True
        self._under_way -= 1
        if not (item.blockers or item.followers):  # as for nearly all
            self._forget(item)
            return
        released = [] if item.blockers else [item]
        while released:
            ended = released.pop()
            self._forget(ended)
            for follower in ended.followers:
                follower.blockers -= 1
                if follower.blockers or follower.under_way:
                    continue
                if follower.ended:
                    released.append(follower)
                elif follower.group is None:
                    self._enqueue(follower, now)
            ended.followers = ()

    def done_all(self, items: Sequence[Item], now: float) -> None:
        """End messages for good, as `done` does for each."""
        last, plain = self._last, 0
        item: Item
        for item in items:
            if item.blockers or item.followers:
                self.done(item, now)
                continue
            item.under_way = False
            item.ended = True
            plain += 1
            for key in item.keys:
                latest = last.pop(key, None)
                if latest is not item and latest is not None:
                    last[key] = latest
        self._under_way -= plain

    def put_back(self, item: Item, now: float, at: float) -> None:
        """Let a message go out again, but not before a time."""
        self._return(item, at)
        if item.group is not None:
            self._regroup_one(item, at)
        elif not item.blockers:
            self._enqueue(item, now)

    def put_together(self, items: Sequence[Item], now: float, at: float) -> None:
        """Let messages that failed together go out again by themselves, but not before a time.

        So a message that makes a request fail again and again never takes fresh messages with it.
        If too many such groups wait already, they mix with the rest.
        """
        if len(self._groups) < _MOST_GROUPS:
            self._regroup([items], at)
            return
        for item in items:
            item.group = None
            self.put_back(item, now, at)

    def put_apart(self, items: Sequence[Item], at: float) -> None:
        """Let messages that were refused together go out again as two halves, without others."""
        ordered = sorted(items, key=lambda item: item.offset)
        middle = (len(ordered) + 1) // 2
        self._regroup([ordered[:middle], ordered[middle:]], at)

    def hold(self, item: Item, until: float) -> None:
        """Let a message go out again with others, or by itself at a time."""
        self._return(item, 0.0)
        if item.group is not None:
            self._regroup_one(item, until)
            return
        if until == UNKNOWN:
            self._held_for_answer = True
        else:
            heappush(self._alarms, until)
        if not item.blockers:
            heappush(self._frontier, (item.offset, item))

    def stall(self, item: Item, wait: QuotaWait) -> None:
        """Let a message that is under way go out again when a quota has room, and not before."""
        self._return(item, 0.0)
        if item.group is not None:
            self._regroup_one(item, wait.until)
        elif not item.blockers:
            self._stall(item, wait)

    def answered(self, now: float) -> None:
        """Look again at messages that wait for an answer: a reserved quota is counted now."""
        for lane in self._lanes.values():
            lane.until = now if lane.until == UNKNOWN else lane.until
        for group in self._groups:
            group.at = now if group.at == UNKNOWN else group.at
        if self._held_for_answer:
            self._held_for_answer = False
            self._touch(now + self._linger)

    # -- inside --------------------------------------------------------------------------------

    def _that_wait(self) -> set[Item]:
        """Find the messages that are neither under way nor behind one that is."""
        found = {item for _, _, item in self._asleep}
        heaps = (self._frontier, *(lane.heap for lane in self._lanes.values()))
        found.update(item for heap in heaps for _, item in heap)
        found.update(item for group in self._groups for item in group.items)
        ahead = list(found)
        while ahead:
            behind = [each for each in ahead.pop().followers if each not in found]
            found.update(behind)
            ahead += behind
        return {item for item in found if not (item.under_way or item.ended)}

    def _forget(self, ended: Item) -> None:
        for key in ended.keys:
            if self._last.get(key) is ended:
                del self._last[key]

    def _regroup(self, parts: Sequence[Sequence[Item]], at: float) -> None:
        groups = []
        for part in parts:
            group = FailedTogether(at)
            for item in part:
                self._return(item, at)
                item.group = group
                group.add(item)
            groups.append(group)
        self._groups[:0] = [group for group in groups if group.items]

    def _regroup_one(self, item: Item, at: float) -> None:
        group = item.group
        if group is None:
            return
        group.add(item)
        group.at = max(group.at, at)
        if group not in self._groups:
            self._groups.append(group)

    def _return(self, item: Item, at: float) -> None:
        item.under_way = False
        item.not_before = at
        self._under_way -= 1
        self._waiting += 1

    def _enqueue(self, item: Item, now: float) -> None:
        if item.not_before > now:
            heappush(self._asleep, (item.not_before, item.offset, item))
            return
        heappush(self._frontier, (item.offset, item))
        due = now + self._linger
        if self._due is None or due < self._due:
            self._due = due

    def _touch(self, due: float) -> None:
        self._due = due if self._due is None else min(self._due, due)

    def _wake(self, now: float) -> None:
        while self._asleep and self._asleep[0][0] <= now:
            _, offset, item = heappop(self._asleep)
            heappush(self._frontier, (offset, item))
            self._touch(now)
        while self._alarms and self._alarms[0] <= now:
            heappop(self._alarms)
            self._touch(now)

    def _is_due(self, now: float) -> bool:
        return (
            (self._due is not None and self._due <= now and self._more_by <= now)
            or (bool(self._frontier) and self._unseen >= self._window)
            or any(lane.until <= now for lane in self._lanes.values())
        )

    def _take_turn(self, now: float, admit: Admit) -> list[Item]:
        """Take the message whose turn it is among those that nothing blocks."""
        ready = [(item.offset > self._asked, item.offset, item) for _, item in self._frontier]
        for group in self._groups:
            ready += [
                (item.offset > self._asked, item.offset, item)
                for item in group.items
                if group.at <= now and item.not_before <= now and not item.blockers
            ]
        for _, _, item in sorted(ready, key=lambda turn: (not turn[0], turn[1])):
            wait = admit(item)
            if wait is None:
                self._take_out(item)
                item.under_way = True
                self._asked = item.offset
                return [item]
            if item.group is None:
                self._take_out(item)
                self._stall(item, wait)
            else:
                item.group.at = wait.until
        return []

    def _take_out(self, item: Item) -> None:
        if item.group is None or item not in item.group.items:
            self._frontier.remove((item.offset, item))
            heapify(self._frontier)
            return
        item.group.items.remove(item)
        self._groups = [group for group in self._groups if group.items]

    def _take_group(self, now: float, admit: Admit, most: int) -> list[Item]:
        for group in self._groups:
            if group.at <= now and (taken := _take_from_group(group, now, admit, most)):
                self._groups = [group for group in self._groups if group.items]
                return taken
        return []

    def _take_window(self, now: float, admit: Admit, most: int) -> list[Item]:
        if self._admits_all and not self._lanes:
            taken, exhausted = self._take_all(now, admit, most)
        else:
            taken, exhausted = self._take_admitted(now, admit, most)
        self._unseen = 0 if exhausted else max(0, self._unseen - len(taken))
        self._due = None if not self._frontier else now + self._linger
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.heap}
        return taken

    def _take_all(self, now: float, admit: Admit, most: int) -> tuple[list[Item], bool]:
        """Do the same as `_take_admitted` if every message is admitted."""
        frontier = sorted(self._frontier)
        item: Item
        first = [item for _, item in frontier[:most]]
        for item in first:
            if item.followers:
                break
        else:  # then nothing comes in between
            for item in first:
                if item.decision is None:
                    admit(item)
                item.under_way = True
            self._frontier = frontier[most:]
            return first, not self._frontier
        taken: list[Item] = []
        behind: _Heap = []
        freed: dict[Item, int] = {}
        place = 0
        while len(taken) < most:
            if behind and (place == len(frontier) or behind[0] < frontier[place]):
                _, item = heappop(behind)
            elif place < len(frontier):
                _, item = frontier[place]
                place += 1
            else:
                break
            if item.decision is None:
                admit(item)
            taken.append(item)
            item.under_way = True
            if item.followers:
                _follow(item, now, freed, behind)
        self._frontier = frontier[place:]
        return taken, not (self._frontier or behind)

    def _take_admitted(self, now: float, admit: Admit, most: int) -> tuple[list[Item], bool]:
        """Take a window; return also whether nothing more may go out, as far as is known."""
        taken: list[Item] = []
        behind: _Heap = []
        lanes = {id(lane.heap): lane for lane in self._lanes.values() if lane.until <= now}
        heaps = [self._frontier, behind, *(lane.heap for lane in lanes.values())]
        freed: dict[Item, int] = {}
        while len(taken) < most and (heap := _first(heaps)):
            _, item = heappop(heap)
            wait = admit(item)
            if wait is None:
                taken.append(item)
                item.under_way = True
                if item.followers:
                    _follow(item, now, freed, behind)
            elif heap is not behind:
                # A message that follows one of this window is looked at again when that has ended.
                lane = self._stall(item, wait)
                heaps = [other for other in heaps if other is not lane.heap]
        return taken, not _first([self._frontier, behind])

    def _stall(self, item: Item, wait: QuotaWait) -> _Lane:
        lane = self._lanes.setdefault((wait.quota, wait.key), _Lane())
        heappush(lane.heap, (item.offset, item))
        lane.until = wait.until
        return lane


def _take_from_group(group: FailedTogether, now: float, admit: Admit, most: int) -> list[Item]:
    taken: list[Item] = []
    freed: dict[Item, int] = {}
    for item in list(group.items):
        if len(taken) == most or item.blockers != freed.get(item, 0) or item.not_before > now:
            continue
        wait = admit(item)
        if wait is not None:
            group.at = wait.until
            break
        taken.append(item)
        item.under_way = True
        if item.followers:
            _follow(item, now, freed, [])
    if taken:
        group.items = [item for item in group.items if not item.under_way]
    return taken


def _first(heaps: Sequence[_Heap]) -> _Heap | None:
    """Find the heap whose first message came first."""
    best: _Heap | None = None
    for heap in heaps:
        if heap and (best is None or heap[0][0] < best[0][0]):
            best = heap
    return best


def _follow(item: Item, now: float, freed: dict[Item, int], behind: _Heap) -> None:
    """Let a user's next messages go in the same window if nothing else blocks them."""
    ahead = [item]
    while ahead:  # not by recursion: any number may have ended behind one that goes again
        for follower in ahead.pop().followers:
            freed[follower] = freed.get(follower, 0) + 1
            if freed[follower] != follower.blockers:
                continue
            if follower.ended:
                ahead.append(follower)
            elif follower.group is None and follower.not_before <= now:
                heappush(behind, (follower.offset, follower))
