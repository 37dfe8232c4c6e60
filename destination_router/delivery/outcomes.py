"""What now? From what came of a request, to what becomes of each message in it. Pure.

All that decides about a message after it was sent stands here. The sender asks what an answer says
of each message, the window what each message does next, dispatch when and with whom a failed one
goes out again; the transformer asks what each message does next.

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
`retry` with the code `network`; a request that cannot be written is `rejected`, or `suspect` in a
bulk, and so is one whose body is refused (400, 413, 422) with no word about which message it was.
Of an answer that was cut short, the status decides about a single message; the messages of a bulk
are `suspect`, unless all of it is to be retried: what it said of each is lost.

`held(unless_proven=True)` is `rejected` where the request's origin has taken something from the
connection before (`as_proven`): then it is this request that the vendor does not know.

What is `held` makes the whole connection stop (`hold.py`), unless it is that message's own matter
(`is_own_matter`): the vendor took another one of the same request, or took others since it last
held this one. Then it waits by itself, a bulk as two halves.

What goes out `later`, after a wait (`after_failure`):

| What was tried | what now |
|---|---|
| `max_attempts` or `max_age` is reached | a dead letter |
| a bulk fails every fourth time, not by a 429, and the vendor takes others meanwhile | two halves |
| otherwise | again with those that failed with it |

The wait (`retry_wait`) is random up to a ceiling that doubles with each attempt, and never shorter
than what the vendor asked for, up to a day. Where every message of several was asked to wait, the
whole connection does (`wait_for_all`); where the vendor does not answer, or answers with a 5xx and
a retry for all, the circuit counts a failure (`is_vendor_failing`).
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
"""The most that a vendor's `Retry-After` is obeyed, in seconds: a typo there must not stop us."""

CUT_ANSWER = "cut_answer"
"""The vendor's status says that it took a bulk; what else it said of its messages is lost."""

_FAILURES_BEFORE_APART = 4
"""After how many failures of the same bulk, while others get through, its messages are suspect."""

_ABOUT_THE_BODY = frozenset({400, 413, 422})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


# -- what an answer says of each message ---------------------------------------------------------


def for_each(request: HttpRequest, outcome: Outcome, status: int | None) -> dict[str, Outcome]:
    """Turn an outcome of a whole request into one for each of its messages.

    Args:
        request: single or bulk.
        outcome: what its answer means.
        status: the answer's; None: the request could not even be written.
    """
    return dict.fromkeys(request.message_ids, blamed(request, outcome, status))


def blamed(request: HttpRequest, outcome: Outcome, status: int | None) -> Outcome:
    """Suspect all of a bulk that is refused for its body; in a single request, find guilty.

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
    """Find guilty what stands alone under suspicion."""
    if outcome.result == "suspect":
        return Outcome.rejected(outcome.code, outcome.detail)
    return outcome


def as_proven(request: HttpRequest, answer: Answer) -> Answer:
    """Turn what is held unless proven into a rejection: the origin has taken something before."""
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
    """Choose from what happened to one message: the first outcome that is not delivered."""
    return next((each for each in outcomes if each.result != "delivered"), outcomes[0])


def outcome_of(item: Item, answer: Answer) -> Outcome:
    """Find the worst of what happened to the ids under which a message is in a request."""
    found = answer.outcomes.get(item.message_id)
    if found is not None:
        return found
    ids = [i for _, request in item.left() for i in request.message_ids if i in answer.outcomes]
    return worst([answer.outcomes[i] for i in ids] or list(answer.outcomes.values()))


def own_request(item: Item, index: int | None) -> HttpRequest | None:
    """Find a message's own request: the one that was refused, else the first that is left."""
    left = item.left()
    return next((r for i, r in left if index is None or i == index), left[0][1] if left else None)


# -- what each message does next -----------------------------------------------------------------


def what_now(outcomes: Sequence[Outcome]) -> list[Next]:
    """Say what each message of a request does next; see the table above.

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
    """Whether an answer says who is at fault or has to wait: then `after=0` clears the others."""
    return any(each.result in {"rejected", "suspect", "held"} or each.after for each in outcomes)


# -- when what failed goes out again -------------------------------------------------------------


class AfterFailure(msgspec.Struct, frozen=True):
    """What becomes of messages that the vendor could not take now.

    Attributes:
        at: when they may go out again.
        given_up: places of those whose patience has ended.
        lasting: those that go out again.
        apart: whether as two halves.
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
    """Say when, and with whom, messages go out again, and which of them are given up.

    Args:
        items: messages of one request; this failure is counted in them.
        outcomes: one for each.
        answer: what came of the request.
        settings: how patiently.
        now: on the clock of `tried_since`.
        last_success: when the vendor took something last, on the same clock.
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
    """Say how long to wait after a failed attempt, in seconds ("full jitter").

    Args:
        settings: the first and the longest wait.
        attempt: the one that failed, from 1.
        asked: what the vendor asked for, if it did: never less than that.
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
    """Say whether a bulk fails again and again while the vendor takes others."""
    since = max((item.tried_since or 0.0 for item in items), default=0.0)
    return (
        len(items) > 1
        and attempt % _FAILURES_BEFORE_APART == 0
        and answer.response is not None
        and answer.response.status != _TOO_MANY_REQUESTS
        and last_success > since
    )


# -- what is held --------------------------------------------------------------------------------


def is_own_matter(items: Sequence[Item], answer: Answer, last_success: float) -> bool:
    """Say whether messages are held for what they are, and not for whom they come from.

    Args:
        items: those of a request that are held; not yet this time.
        answer: what came of the request.
        last_success: when the vendor took something last, on the clock of `held_at`.
    """
    since = [item.held_at for item in items]
    return took_something(answer) or all(at is not None and last_success > at for at in since)


# -- what an answer says of the vendor -----------------------------------------------------------


def took_something(answer: Answer) -> bool:
    """Whether the vendor has taken a message of a request."""
    return any(outcome.result == "delivered" for outcome in answer.each())


def holds(answer: Answer) -> bool:
    """Whether an answer holds a message."""
    return any(outcome.result == "held" for outcome in answer.each())


def wait_for_all(answer: Answer) -> float:
    """Say how long the whole connection waits, in seconds; 0: it does not.

    Only where every message of several was asked to: one user's throttling is theirs alone.
    """
    outcomes = answer.outcomes.values()
    if len(outcomes) < 2 or not _all_to_be_retried(answer):  # noqa: PLR2004 -- several messages
        return 0.0
    asked = min(outcome.after or 0.0 for outcome in outcomes)
    return min(asked, LONGEST_ASKED_WAIT)


def is_vendor_failing(answer: Answer) -> bool:
    """Whether an answer is a sign that the vendor is dead, rather than of life."""
    status = answer.response.status if answer.response else None
    return _all_to_be_retried(answer) and (status is None or status >= _SERVER_ERROR)


def _all_to_be_retried(answer: Answer) -> bool:
    return all(outcome.result == "retry" for outcome in answer.each())
