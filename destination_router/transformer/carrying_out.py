"""Sends the requests of several jobs in order, and reports each job's outcome.

A job is delivered once all its requests are. It is refused only for its own fault: a bulk that the
vendor refuses is packed again without the jobs that the vendor names, or in halves. After a job is
refused, its later requests are not sent. After a job has to be sent again, its user's later jobs
are not sent either, because they would overtake it. Nothing more is sent once the vendor fails
again and again. Nothing is kept here: rudder-server does the retries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.outcomes import Next, what_now
from destination_router.transformer.sequences import Carried

Send = Callable[[HttpRequest], Awaitable[dict[str, Outcome]]]
Pack = Callable[[list[HttpRequest]], list[HttpRequest]]

_BEHIND = "not sent: an earlier request has to be sent again first"
_TROUBLES = 3
"""After how many requests in a row that a vendor failed at nothing more is sent to it.

After one, a bulk with many refused parts would never be taken apart by a vendor that fails now and
then: each attempt begins anew, and rudder-server gives up what has failed for three hours.
"""


class CarryingOut:
    """One attempt at the requests of several jobs.

    Args:
        carried: the requests.
        pack: turns single requests into bulks.
        send: sends a request once.
    """

    def __init__(self, carried: Carried, pack: Pack, send: Send) -> None:
        self._pack = pack
        self._send = send
        # A job may have several requests in one bulk: only its place tells a request.
        self._jobs = [request.message_ids[0] for request in carried.requests]
        self._singles = [
            msgspec.structs.replace(request, message_ids=(str(at),))
            for at, request in enumerate(carried.requests)
        ]
        self._keys = carried.keys
        self._waiting_keys: set[int] = set()
        self._all_wait: Outcome | None = None
        self._troubles = 0
        self._left = Counter(self._jobs)
        self._taken: dict[str, Outcome] = {}
        self._ended: dict[str, Outcome] = {}

    async def run(self) -> None:
        """Send everything once. If it is cancelled, the outcomes known by then remain."""
        await self._run(range(len(self._singles)))

    def outcome(self, job: str) -> Outcome | None:
        """Return a job's outcome; None while it is unknown."""
        if job in self._ended:
            return self._ended[job]
        return None if self._left.get(job, 1) else self._taken[job]

    async def _run(self, places: Iterable[int]) -> None:
        """Send single requests, packed; anew without those that must not go on."""
        left = [at for at in places if self._goes(at)]
        while left:
            done: set[int] = set()
            for request in self._pack([self._singles[at] for at in left]):
                at_once = sorted(int(name) for name in request.message_ids)
                going = [self._goes(at) for at in at_once]
                if not all(going):
                    break
                done.update(at_once)
                await self._attempt(request, at_once)
            else:
                return
            left = [at for at in left if at not in done and self._goes(at)]

    async def _attempt(self, request: HttpRequest, places: Sequence[int]) -> None:
        outcomes = await self._send(request)
        found = [outcomes[str(at)] for at in places]
        nexts = what_now(found)
        for at, outcome, now in zip(places, found, nexts, strict=True):
            match now:
                case "delivered":
                    self._take(at, outcome)
                case "dead_letter":
                    self._end(at, Outcome.rejected(outcome.code, outcome.detail))
                case "later":
                    self._wait(at, outcome)
                case _:
                    pass
        if all(now == "later" for now in nexts):
            self._troubles += 1
            if self._troubles == _TROUBLES or not _is_hiccup(found[0]):
                self._all_wait = found[0]  # the vendor's trouble is no reason to send it more
        else:
            self._troubles = 0
        for part in self._parts(places, nexts):
            if len(part) == len(places):  # a plugin that clears everybody
                for at in part:
                    self._wait(at, outcomes[str(at)])
                return
            await self._run(part)

    def _parts(self, places: Sequence[int], nexts: Sequence[Next]) -> list[list[int]]:
        """Say what goes out again at once, and what of it together.

        Who is not at fault goes first; but not ahead of an earlier request of the same user that
        is still under suspicion, with which it is cut into halves.
        """
        cleared: list[int] = []
        doubtful: list[int] = []
        keys: set[int] = set()
        for at, now in zip(places, nexts, strict=True):
            own = set(self._keys.get(self._jobs[at], ()))
            if now == "apart" or (now == "at_once" and own & keys):
                keys |= own
                doubtful.append(at)
            elif now == "at_once":
                cleared.append(at)
        middle = len(doubtful) // 2
        halves = [doubtful[:middle], doubtful[middle:]]
        return [part for part in (cleared, *halves) if part]

    def _goes(self, at: int) -> bool:
        """Whether a request may go out; one that may not makes its job's others wait too."""
        job = self._jobs[at]
        if job in self._ended:
            return False
        if self._all_wait is None and self._waiting_keys.isdisjoint(self._keys.get(job, ())):
            return True
        cause = self._all_wait
        self._wait(at, Outcome.retry(code="" if cause is None else cause.code, detail=_BEHIND))
        return False

    def _take(self, at: int, outcome: Outcome) -> None:
        job = self._jobs[at]
        self._left[job] -= 1
        self._taken[job] = outcome

    def _wait(self, at: int, outcome: Outcome) -> None:
        self._waiting_keys.update(self._keys.get(self._jobs[at], ()))
        self._end(at, outcome)

    def _end(self, at: int, outcome: Outcome) -> None:
        self._ended.setdefault(self._jobs[at], outcome)


def _is_hiccup(outcome: Outcome) -> bool:
    """Tell a failure that says nothing about the next request: no wait, no silence, no hold."""
    return outcome.after is None and outcome.code.startswith("http_5")
