"""Deletes users at a vendor: sends groups, and asks about them until the vendor is done.

It waits by the running event loop's clock. It reports each change of a group at once, so that an
interrupted run can resume.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import msgspec

from destination_router.contract.deletion import DeletionProgress, UserDeletion
from destination_router.contract.records import (
    HttpRequest,
    HttpResponse,
    Json,
    Reject,
    default_outcome,
)
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer
from destination_router.delivery.outcomes import retry_wait
from destination_router.delivery.sender import Sender

_UNAUTHORIZED = 401
_RENEWED_BEFORE = 30.0
"""A token is renewed this many seconds before its end, so that no request outlives it."""

_MOST_ATTEMPTS = 8
_FIRST_POLL = 0.5
_LONGEST_POLL = 60.0


class DeletionGroup(msgspec.Struct):
    """Users who are deleted together, and the state of their deletion.

    Attributes:
        subjects: the vendor's names for them.
        state: `new` until the vendor has taken it.
        request_id: the vendor's id of the request.
        status: the HTTP status of its last answer, if there was one.
        detail: why it failed: a code, and words without personal values.
    """

    subjects: list[Json]
    state: Literal["new", "pending", "complete", "failed"] = "new"
    request_id: str = ""
    status: int | None = None
    detail: str = ""


class Hindrance(msgspec.Struct, frozen=True):
    """A failed attempt that will be repeated.

    Attributes:
        code: the reason: `network: https://vendor.example: the connection was refused`, `http_503`.
        attempt: its number, from 1.
        most: the most attempts.
        wait: the seconds until the next.
    """

    code: str
    attempt: int
    most: int
    wait: float


class _FailedError(Exception):
    """A request that failed for good.

    Attributes:
        detail: why.
        status: of the vendor's answer, if there was one.
        transient: the vendor did not answer for too long.
        held: the vendor takes nothing of this connection, whatever it asks: its key is refused.
    """

    def __init__(
        self,
        detail: str,
        status: int | None = None,
        *,
        transient: bool = False,
        held: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.transient = transient
        self.held = held


class Deleting:
    """Deletes groups of users through one connection.

    Args:
        deletion: the vendor's, with the connection's settings.
        sender: the connection's.
        told: gets each group whose state has changed, before anything else happens.
        settings: the retries of a request.
        hindered: gets each failed attempt that will be repeated.
        chance: draws a number from 0 to 1, to spread simultaneous retries.
    """

    def __init__(  # noqa: PLR0913 -- each is a part, by keyword
        self,
        deletion: UserDeletion,
        sender: Sender,
        told: Callable[[DeletionGroup], None],
        settings: DeliverySettings | None = None,
        *,
        hindered: Callable[[Hindrance], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._deletion = deletion
        self._sender = sender
        self._told = told
        self._settings = settings or DeliverySettings()
        self._hindered = hindered
        self._chance = chance
        self._clock = asyncio.get_running_loop().time
        self._token = ""
        self._token_until = float("-inf")
        self.held = ""
        """The code of the reason why the vendor takes nothing; empty if it takes something."""

    async def submit(self, groups: Sequence[DeletionGroup]) -> None:
        """Send each group that the vendor has not taken yet."""
        for group in groups:
            if group.state not in {"new", "failed"}:
                continue
            await self._advance(
                group,
                partial(self._deletion.deletion_request, group.subjects),
                self._deletion.read_deletion,
            )
            if self.held:  # the others would fare no better
                return

    async def wait(self, groups: Sequence[DeletionGroup], patience: float) -> None:
        """Ask about each group until none is pending, or until the time is over.

        It stops asking a vendor that takes nothing from this connection.
        """
        until = self._clock() + patience
        pause = _FIRST_POLL
        while pending := [group for group in groups if group.state == "pending"]:
            for group in pending:
                if self.held:
                    return
                await self._advance(
                    group,
                    partial(self._deletion.status_request, group.request_id),
                    self._deletion.read_status,
                )
            left = until - self._clock()
            if self.held or left <= 0 or all(group.state != "pending" for group in pending):
                return
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_POLL)

    async def _advance(
        self,
        group: DeletionGroup,
        request: Callable[[str], HttpRequest],
        read: Callable[[HttpResponse], DeletionProgress],
    ) -> None:
        """Send one request for a group, and report its state if it changed."""
        before = (group.state, group.request_id)
        try:
            response = await self._authorized(request)
        except _FailedError as failed:
            self.held = failed.detail if failed.held else ""
            # A vendor that is away now, or refuses the key, still has what it took before.
            away = (failed.transient or failed.held) and group.state == "pending"
            progress = DeletionProgress("pending" if away else "failed", detail=failed.detail)
            group.status = failed.status
        else:
            progress = read(response)
            group.status = response.status
        group.state = progress.state
        group.request_id = progress.request_id or group.request_id
        group.detail = progress.detail
        if (group.state, group.request_id) != before:
            self._told(group)

    async def _authorized(self, request: Callable[[str], HttpRequest]) -> HttpResponse:
        """Send a request with a valid token. If the vendor refuses the token, renew it once."""
        held = self._token_until > self._clock()
        try:
            return await self._asked(request(await self._good_token()))
        except _FailedError as failed:
            if failed.status != _UNAUTHORIZED or not held:
                raise
        self._token_until = float("-inf")
        return await self._asked(request(await self._good_token()))

    async def _good_token(self) -> str:
        if self._token_until > self._clock():
            return self._token
        asked_at = self._clock()
        try:
            request = self._deletion.token_request()
        except Reject as reject:
            raise _FailedError(str(reject)) from None
        if request is None:
            return ""
        token = self._deletion.read_token(await self._asked(request))
        if token is None:
            raise _FailedError("the vendor's answer holds no token")
        self._token = token.value
        self._token_until = asked_at + max(token.lifetime - _RENEWED_BEFORE, token.lifetime / 2)
        return self._token

    async def _asked(self, request: HttpRequest) -> HttpResponse:
        """Send a request until there is a final answer.

        Raises:
            _FailedError: the vendor refuses it, or does not answer for too long.
        """
        attempt = 0
        while True:
            attempt += 1
            answer = await self._sender.attempt(request)
            response = answer.response
            outcome = None if response is None else default_outcome(response)
            if response is not None and outcome is not None and outcome.result == "delivered":
                return response
            status = None if response is None else response.status
            if outcome is not None and outcome.result != "retry":
                held = outcome.result == "held" and not outcome.unless_proven
                raise _FailedError(outcome.code, status, held=held)
            code = outcome.code if outcome is not None else _no_answer(answer)
            if attempt >= _MOST_ATTEMPTS:
                raise _FailedError(code, status, transient=True)
            after = None if outcome is None else outcome.after
            wait = retry_wait(self._settings, attempt, after, self._chance())
            if self._hindered is not None:
                self._hindered(Hindrance(code, attempt, _MOST_ATTEMPTS, wait))
            await asyncio.sleep(wait)


def _no_answer(answer: Answer) -> str:
    return f"network: {answer.failure}" if answer.failure else "network"


def grouped(subjects: Sequence[Json], most: int) -> list[DeletionGroup]:
    """Divide into groups of at most this size, in order."""
    return [
        DeletionGroup(list(subjects[start : start + most]))
        for start in range(0, len(subjects), most)
    ]
