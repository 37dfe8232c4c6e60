"""The record of a message that can never be delivered, with everything that explains why.

Delivery makes it, the log keeps it, commands show, replay and delete it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from destination_router.pipeline.wire import id_of

EXPIRED = "expired"
"""The code of an event that was not delivered within `[eventlog] max_age`."""

EXPIRED_DETAIL = "it was not delivered within max_age"

_log = logging.getLogger(__name__)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up, with everything that a person needs to mend and replay it.

    Attributes:
        connection: whose message it was.
        message_id: the message's. Where it could not be read it is empty, and once it is kept, it
            is named after its place in the log.
        offset: its place in the event log.
        body: the message as wire JSON.
        code: why, as a stable name: `missing_identity`, `http_400`, ...
        detail: a sentence, or the vendor's own words.
        at: when it was given up, as Unix time in seconds.
        attempts: how many requests carried it, replays included; 0 where none was ever made.
        request: the last request that carried it, by itself and not as part of a bulk, as it may
            be shown (`Connection.shown`: secrets are hidden); None where none was made.
        status: the HTTP status of the vendor's answer; None where there was none.
        answer: the vendor's answer as text, at most its first 2000 characters.
        id: for commands; 0 before it is kept.
        replayed_at: when it was put back into the log, Unix time in seconds; None if it was not,
            or if it failed again since.
        source: who sent it; None before it is kept, or where the log does not know.
        replay: what of it a person sent again, as `Event.replay`; None for any other.
    """

    connection: str
    message_id: str
    offset: int
    body: bytes
    code: str
    detail: str
    at: float
    attempts: int = 0
    request: dict[str, Any] | None = None
    status: int | None = None
    answer: str = ""
    id: int = 0
    replayed_at: float | None = None
    source: str | None = None
    replay: str | None = None


def expired_letter(connection: str, offset: int, body: bytes, at: float) -> DeadLetter:
    """Make the dead letter of an event that was never tried and grew too old.

    Args:
        connection: whose event it was.
        offset: its place in the event log.
        body: what the letter may keep of it.
        at: Unix time in seconds.
    """
    return DeadLetter(
        connection=connection,
        message_id=id_of(body),
        offset=offset,
        body=body,
        code=EXPIRED,
        detail=EXPIRED_DETAIL,
        at=at,
    )


def tell_expired(connection: str, offsets: Sequence[int]) -> None:
    """Write the line of the log on events that grew too old; at least one did."""
    about = {"connection": connection, "count": len(offsets), "first_offset": offsets[0]}
    _log.warning("events_expired", extra=about)


class DamagedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that cannot be read, because the log is damaged there.

    Attributes:
        id: for commands, which can delete it.
        connection: whose it was; empty where that cannot be read either.
        code: why it was given up; empty where that cannot be read either.
        body: what may be left of the message; None if that is no content at all.
    """

    id: int
    connection: str
    code: str
    body: bytes | None

    @property
    def told(self) -> str:
        """What it is, in words."""
        return f"dead letter {self.id} is not as it was written"


class LetterGroup(msgspec.Struct, frozen=True):
    """The dead letters of one connection with one code.

    Attributes:
        connection: the connection; empty where damage hides it.
        code: the code; empty where damage hides it.
        count: how many there are.
        sample: the one that was kept last.
    """

    connection: str
    code: str
    count: int
    sample: DeadLetter | DamagedLetter


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A selection of dead letters. A field that is None does not matter.

    Attributes:
        ids: by number.
        connection: by connection.
        code: by code.
        since: those that were given up at or after this Unix time.
        before: those that were given up before this Unix time.
        message_id: by message.
        replayed: only those that were replayed (True) or only those that were not (False).
        limit: the first so many of them.
    """

    ids: tuple[int, ...] = ()
    connection: str | None = None
    code: str | None = None
    since: float | None = None
    before: float | None = None
    message_id: str | None = None
    replayed: bool | None = None
    limit: int | None = None


class DeadLetterSink(Protocol):
    """A store of dead letters."""

    async def put(self, letters: list[DeadLetter]) -> None:
        """Keep dead letters durably. Their messages are committed only after this returns.

        A crash between this and the commit brings the same letter again: keep one per connection
        and offset.

        Raises:
            LogUnavailableError: nothing was kept; the worker tries again.
        """


class DroppedDeadLetters:
    """Keeps nothing, for a demo, or if `report` tells the sender at once."""

    async def put(self, letters: list[DeadLetter]) -> None:
        """Forget them."""
