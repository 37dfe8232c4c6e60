"""The simulated Heap itself, without HTTP's machinery: a request in, its effects, an answer out."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from heap_destination.simulator import bodies, partner
from heap_destination.simulator.checks import BodyError
from heap_destination.simulator.deletions import (
    AUTH_TOKEN,
    DELETION_STATUS,
    USER_DELETION,
    Deletions,
    Told,
)
from heap_destination.simulator.faults import Faults
from heap_destination.simulator.rates import RateLimits
from heap_destination.simulator.records import Ingestion
from heap_destination.simulator.request_log import RequestLog
from heap_destination.simulator.rows import (
    AccountRow,
    EventRow,
    IgnoredRow,
    RequestRow,
    UserRow,
)
from heap_destination.simulator.store import Store

ENDPOINTS: dict[str, Callable[[object], Ingestion]] = {
    "/api/track": bodies.track,
    "/api/add_user_properties": bodies.add_user_properties,
    "/api/v1/identify": bodies.identify,
    "/api/add_account_properties": bodies.add_account_properties,
    "/api/integrations/track": partner.track,
    "/api/integrations/add_user_properties": partner.add_user_properties,
}
"""Each ingestion endpoint and how its body is read. All are POST."""


_COUNTED = frozenset({*ENDPOINTS, AUTH_TOKEN, USER_DELETION, DELETION_STATUS})


class Answer(msgspec.Struct, frozen=True):
    """What the client is told."""

    status: int
    body: str
    headers: dict[str, str]


class SimulatedHeap:
    """Everything Heap holds, the rules by which it changes, and what came in.

    `clock` is Unix time in seconds. `rate_limits` may be switched at any time; what was counted
    stays. `faults` are the failures in force; `reset` leaves them be.
    """

    def __init__(  # noqa: PLR0913 (each is a setting, by keyword)
        self,
        *,
        rate_limits: bool,
        clock: Callable[[], float],
        chance: random.Random,
        keep_requests: int,
        keep_request_bytes: int,
        api_key: str,
        deletion_seconds: float,
    ) -> None:
        self.rate_limits = rate_limits
        self.faults = Faults(chance)
        self._clock = clock
        self._keep = (keep_requests, keep_request_bytes)
        self._deletion = (api_key, deletion_seconds)
        self.reset()

    def reset(self) -> None:
        """Forget all data, requests, counts and used-up rates."""
        self._store = Store()
        self._deletions = Deletions(*self._deletion, self._store.delete)
        self._rates = RateLimits()
        self._log = RequestLog(*self._keep)
        self._answers: Counter[tuple[str, str]] = Counter()
        self._rate_limited = 0
        self._faults_used = 0

    def answer(self, method: str, path: str, body: bytes, authorization: str = "") -> Answer:
        """Act on one request. A 400, a 401 or a 429 changes nothing that Heap holds."""
        self._deletions.settle(self._clock())
        try:
            told = self._deletions.answer(
                method, path, lambda: _json(body), authorization, self._clock()
            )
        except BodyError as error:
            return _text(400, str(error))
        return self._ingest(method, path, body) if told is None else _told(told)

    def _ingest(self, method: str, path: str, body: bytes) -> Answer:
        read = ENDPOINTS.get(path)
        if read is None:
            return _text(404, "Not Found")
        if method != "POST":
            return _text(405, "Method Not Allowed", allow="POST")
        try:
            ingestion = read(_json(body))
        except BodyError as error:
            return _text(400, str(error))
        now = self._clock()
        if self.rate_limits and not self._rates.admit(ingestion, now):
            self._rate_limited += 1
            return _text(429, "Too Many Requests")
        self._store.apply(ingestion, now)
        return Answer(200, "{}", {"content-type": "application/json"})

    def log(self, method: str, path: str, body: bytes, status: int | None, *, fault: bool) -> None:
        """Note a request and the status its client saw; None if the connection was dropped."""
        self._log.add(method, path, body, status, fault=fault)
        shown = DELETION_STATUS if path.startswith(f"{DELETION_STATUS}/") else path
        endpoint = shown if shown in _COUNTED else "other"
        self._answers[endpoint, "dropped" if status is None else str(status)] += 1
        self._faults_used += fault

    def users(self, app_id: str | None = None, identity: str | None = None) -> Iterator[UserRow]:
        """Users with an identity, in the order they were created."""
        self._deletions.settle(self._clock())
        return self._store.users(app_id, identity)

    def events(self, app_id: str | None = None, identity: str | None = None) -> Iterator[EventRow]:
        """Events in the order they arrived."""
        self._deletions.settle(self._clock())
        return self._store.events(app_id, identity)

    def accounts(self, app_id: str | None = None) -> Iterator[AccountRow]:
        """Accounts, in the order they were created."""
        return self._store.accounts(app_id)

    def ignored(self) -> Iterator[IgnoredRow]:
        """The latest merges that were ignored in silence, oldest first."""
        return self._store.ignored()

    def requests(self) -> Iterator[RequestRow]:
        """The latest requests, oldest first."""
        return iter(self._log)

    def stats(self) -> dict[str, Any]:
        """What happened since the start or the last reset.

        `requests` counts answers by endpoint and status (`dropped` where there was none); the
        other keys are totals: `events_stored`, `duplicates` (by idempotency key), `users` and
        `accounts` held, `merges` and `merges_ignored`, `rate_limited`, `faults`.
        """
        self._deletions.settle(self._clock())
        requests: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for (endpoint, status), count in sorted(self._answers.items()):
            requests[endpoint][status] = count
        return {
            "requests": dict(requests),
            **self._store.totals(),
            "rate_limited": self._rate_limited,
            "faults": self._faults_used,
        }


def _json(body: bytes) -> object:
    try:
        # Refuses NaN and Infinity, which are no JSON, and numbers that would overflow to them.
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BodyError("postBody", "should be valid JSON") from None


def _text(status: int, text: str, **headers: str) -> Answer:
    return Answer(status, text, {"content-type": "text/plain; charset=utf-8", **headers})


def _told(told: Told) -> Answer:
    if isinstance(told.body, str):
        return _text(told.status, told.body)
    body = msgspec.json.encode(told.body).decode()
    return Answer(told.status, body, {"content-type": "application/json"})
