"""Decides what each message of a request does next, from what came of the request. Pure.

Every decision about a message after it was sent is here. The sender asks what an answer says about
each message. The window and the transformer ask what each message does next. Dispatch asks when and
with which others a failed one goes out again.

| The message's outcome | and in the same request | what now |
|---|---|---|
| `delivered` | | `delivered`: once all its requests are, it has ended |
| `rejected` | | `dead_letter` |
| `suspect` | no other suspect | `dead_letter`: it stands alone; `delivered` if the answer was cut |
| `suspect` | others | `apart`: at once, in two halves, to find the one at fault |
| `retry(after=0)` | one that is rejected, suspect, held or to wait | `at_once`: not at fault |
| `retry` | otherwise | `later`, as below |
| `held` | | `held`: nothing is wrong with it, so no attempt is counted |

A message under several ids has the worst of their outcomes (`outcome_of`). No answer at all is
`retry` with the code `network`. A request that cannot be written is `rejected`, or `suspect` in a
bulk. The same holds if its body is refused (400, 413, 422) without a word about which message is at
fault. If an answer was cut short, its status decides about a single message. The messages of a bulk
are then `suspect`, unless all of it is to be retried: what the answer said about each is lost.

`held(unless_proven=True)` is `rejected` if the request's origin has taken something from the
connection before (`as_proven`): then the vendor does not know this particular request.

A `held` message stops the whole connection (`hold.py`), unless it is the message's own matter
(`is_own_matter`): the vendor took another one of the same request, or took others since it last
held this one. Then the message waits by itself, and a bulk waits as two halves.

Messages that go out `later`, after a wait (`after_failure`):

| What was tried | what now |
|---|---|
| `max_attempts` or `max_age` is reached | a dead letter |
| a bulk fails every fourth time, not by a 429, and the vendor takes others meanwhile | two halves |
| otherwise | again with those that failed with it |

The wait (`retry_wait`) is random up to a ceiling that doubles with each attempt. It is never
shorter than the vendor asked for, up to a day. If a request has several messages and all have to
wait, the whole connection waits (`wait_for_all`). If the vendor does not answer, or answers with a
5xx and a retry for all, the circuit counts a failure (`is_vendor_failing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, assert_never

import msgspec

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer, Item

Next = Literal["delivered", "dead_letter", "apart", "at_once", "later", "held"]
"""What a message does next, in the order in which a window sees to it."""

LONGEST_ASKED_WAIT = 86_400.0
"""The longest `Retry-After` that is obeyed, in seconds: a typo there must not stop the router."""

CUT_ANSWER = "cut_answer"
"""The vendor's status says that it took a bulk. What else it said about its messages is lost."""

_FAILURES_BEFORE_APART = 4
"""After how many failures of the same bulk, while others get through, its messages are suspect."""

_ABOUT_THE_BODY = frozenset({400, 413, 422})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


# -- what an answer says about each message ------------------------------------------------------


def for_each(request: HttpRequest, outcome: Outcome, status: int | None) -> dict[str, Outcome]:
    """Turn an outcome of a whole request into one for each of its messages.

    Args:
        request: single or bulk.
        outcome: what its answer means.
        status: the answer's; None: the request could not even be written.
    """
    return dict.fromkeys(request.message_ids, blamed(request, outcome, status))


def blamed(request: HttpRequest, outcome: Outcome, status: int | None) -> Outcome:
    """Suspect all messages of a bulk that is refused for its body; reject that of a single request.

    Args:
        request: single or bulk.
        outcome: what its answer means.
        status: the answer's; None: the request could not even be written.
    """
    about_the_body = status is None or status in _ABOUT_THE_BODY
    if len(request.message_ids) <= 1:
        return alone(outcome)
    if outcome.result == "rejected" and about_the_body:
        return Outcome.suspect(outcome.code, outcome.detail)
    return outcome


def for_each_of_cut(request: HttpRequest, outcome: Outcome) -> dict[str, Outcome]:
    """Turn the outcome of an answer that was cut short into one for each of its messages.

    Args:
        request: single or bulk.
        outcome: what the answer's status means.
    """
    if len(request.message_ids) > 1 and outcome.result in {"delivered", "rejected"}:
        outcome = Outcome.suspect(outcome.code or CUT_ANSWER, outcome.detail)
    return dict.fromkeys(request.message_ids, outcome)


def alone(outcome: Outcome) -> Outcome:
    """Reject a message that is the only suspect."""
    if outcome.result == "suspect":
        return Outcome.rejected(outcome.code, outcome.detail)
    return outcome


def as_proven(request: HttpRequest, answer: Answer) -> Answer:
    """Turn `held` unless proven into a rejection: the origin has taken something before."""
    if not any(outcome.unless_proven for outcome in answer.each()):
        return answer
    status = None if answer.response is None else answer.response.status
    outcomes = {key: _proven(request, each, status) for key, each in answer.outcomes.items()}
    return msgspec.structs.replace(answer, outcomes=outcomes)


def _proven(request: HttpRequest, outcome: Outcome, status: int | None) -> Outcome:
    if not outcome.unless_proven:
        return outcome
    return blamed(request, Outcome.rejected(outcome.code, outcome.detail), status)


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Choose one message's outcome: the first that is not delivered."""
    return next((each for each in outcomes if each.result != "delivered"), outcomes[0])


def outcome_of(item: Item, answer: Answer) -> Outcome:
    """Find the worst outcome of the ids under which a message is in a request."""
    found = answer.outcomes.get(item.message_id)
    if found is not None:
        return found
    ids = [i for _, request in item.left() for i in request.message_ids if i in answer.outcomes]
    return worst([answer.outcomes[i] for i in ids] or list(answer.outcomes.values()))


def own_request(item: Item, index: int | None) -> HttpRequest | None:
    """Find a message's own request: the refused one, else the first that is left."""
    left = item.left()
    return next((r for i, r in left if index is None or i == index), left[0][1] if left else None)


# -- what each message does next -----------------------------------------------------------------


def what_now(outcomes: Sequence[Outcome]) -> list[Next]:
    """Return what each message of a request does next: see the table above.

    Args:
        outcomes: one for each message.
    """
    if all(outcome.result == "delivered" for outcome in outcomes):
        return ["delivered"] * len(outcomes)
    suspects = sum(outcome.result == "suspect" for outcome in outcomes)
    named = _names_someone(outcomes)
    return [_next(outcome, named=named, suspects=suspects) for outcome in outcomes]


def _next(outcome: Outcome, *, named: bool, suspects: int) -> Next:
    match outcome.result:
        case "delivered":
            return "delivered"
        case "rejected":
            return "dead_letter"
        case "suspect":
            if suspects > 1:
                return "apart"
            return "delivered" if outcome.code == CUT_ANSWER else "dead_letter"
        case "retry":
            return "at_once" if named and outcome.after == 0 else "later"
        case "held":
            return "held"
        case _:
            assert_never(outcome.result)


def _names_someone(outcomes: Iterable[Outcome]) -> bool:
    """Whether an answer names messages at fault or to wait: then `after=0` clears the others."""
    return any(each.result in {"rejected", "suspect", "held"} or each.after for each in outcomes)


# -- when failed messages go out again -----------------------------------------------------------


class AfterFailure(msgspec.Struct, frozen=True):
    """What messages that the vendor could not take now do next.

    Attributes:
        at: when they may go out again.
        given_up: places of those that have reached `max_attempts` or `max_age`.
        lasting: those that go out again.
        apart: whether they go out as two halves.
    """

    at: float
    given_up: list[int]
    lasting: list[Item]
    apart: bool


def after_failure(  # noqa: PLR0913 -- each is a part, by keyword
    items: Sequence[Item],
    outcomes: Sequence[Outcome],
    answer: Answer,
    *,
    settings: DeliverySettings,
    now: float,
    last_success: float,
    chance: float,
) -> AfterFailure:
    """Return when and with which others messages go out again, and which are given up.

    Args:
        items: messages of one request; this failure is counted in them.
        outcomes: one for each.
        answer: what came of the request.
        settings: the waits and the limits.
        now: the time, on the clock of `tried_since`.
        last_success: when the vendor last took something, on the same clock.
        chance: from 0 to 1; spreads senders that failed together.
    """
    attempt = max(item.attempts for item in items)
    asked = max(outcome.after or 0.0 for outcome in outcomes)
    given_up = [at for at, item in enumerate(items) if _is_given_up(item, settings, now)]
    gone = set(given_up)
    lasting = [item for at, item in enumerate(items) if at not in gone]
    return AfterFailure(
        at=now + retry_wait(settings, attempt, asked, chance),
        given_up=given_up,
        lasting=lasting,
        apart=_is_suspicious(lasting, attempt, answer, last_success),
    )


def retry_wait(
    settings: DeliverySettings, attempt: int, asked: float | None, chance: float
) -> float:
    """Return how long to wait after a failed attempt, in seconds ("full jitter").

    Args:
        settings: the first and the longest wait.
        attempt: the number of the failed attempt, from 1.
        asked: the wait that the vendor asked for, if it did. The wait is never shorter.
        chance: from 0 to 1; spreads senders that failed together.
    """
    doublings = min(attempt - 1, 62)
    ceiling = min(settings.longest_wait, settings.first_wait * 2.0**doublings)
    return max(min(asked or 0.0, LONGEST_ASKED_WAIT), ceiling * chance)


def _is_given_up(item: Item, settings: DeliverySettings, now: float) -> bool:
    most, age = settings.max_attempts, settings.max_age
    since = now if item.tried_since is None else item.tried_since
    return (most is not None and item.attempts >= most) or (age is not None and now - since >= age)


def _is_suspicious(
    items: Sequence[Item], attempt: int, answer: Answer, last_success: float
) -> bool:
    """Whether a bulk fails again and again while the vendor takes others."""
    since = max((item.tried_since or 0.0 for item in items), default=0.0)
    return (
        len(items) > 1
        and attempt % _FAILURES_BEFORE_APART == 0
        and answer.response is not None
        and answer.response.status != _TOO_MANY_REQUESTS
        and last_success > since
    )


# -- held messages -------------------------------------------------------------------------------


def is_own_matter(items: Sequence[Item], answer: Answer, last_success: float) -> bool:
    """Whether messages are held because of themselves, and not because of their sender.

    Args:
        items: those of a request that are held, this time not counted yet.
        answer: what came of the request.
        last_success: when the vendor last took something, on the clock of `held_at`.
    """
    since = [item.held_at for item in items]
    return took_something(answer) or all(at is not None and last_success > at for at in since)


# -- what an answer says about the vendor --------------------------------------------------------


def took_something(answer: Answer) -> bool:
    """Whether the vendor has taken a message of a request."""
    return any(outcome.result == "delivered" for outcome in answer.each())


def holds(answer: Answer) -> bool:
    """Whether an answer holds a message."""
    return any(outcome.result == "held" for outcome in answer.each())


def wait_for_all(answer: Answer) -> float:
    """Return how long the whole connection waits, in seconds; 0: it does not.

    It waits only if a request has several messages and all have to wait: a vendor may throttle one
    user alone.
    """
    outcomes = answer.outcomes.values()
    if len(outcomes) < 2 or not _all_to_be_retried(answer):  # noqa: PLR2004 -- several messages
        return 0.0
    asked = min(outcome.after or 0.0 for outcome in outcomes)
    return min(asked, LONGEST_ASKED_WAIT)


def is_vendor_failing(answer: Answer) -> bool:
    """Whether an answer is a sign that the vendor is dead rather than alive."""
    status = answer.response.status if answer.response else None
    return _all_to_be_retried(answer) and (status is None or status >= _SERVER_ERROR)


def _all_to_be_retried(answer: Answer) -> bool:
    return all(outcome.result == "retry" for outcome in answer.each())
