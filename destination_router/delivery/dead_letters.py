"""What becomes of a message that can never be delivered, and who keeps it. No I/O here."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up, with everything that a person needs to mend and replay it.

    Attributes:
        connection: whose message it was.
        message_id: the message's; empty where it could not even be read.
        offset: its place in the event log.
        body: the message as wire JSON.
        code: why, as a stable name: `missing_identity`, `http_400`, ...
        detail: a sentence, or the vendor's own words.
        at: when it was given up, as Unix time in seconds.
        attempts: how many requests carried it; 0 where none was ever made.
        request: the last request that carried it, by itself and not as part of a bulk, as it may
            be shown (`Connection.shown`: secrets are hidden); None where none was made.
        status: the HTTP status of the vendor's answer; None where there was none.
        answer: the vendor's answer as text, at most its first 2000 characters.
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


class DeadLetterSink(Protocol):
    """Where dead letters are kept."""

    async def put(self, letters: list[DeadLetter]) -> None:
        """Keep dead letters durably; only when this returns are the messages committed.

        A crash between this and the commit brings the same letter again: keep one per connection
        and offset.

        Raises:
            LogUnavailableError: nothing was kept; the worker tries again.
        """


class DroppedDeadLetters:
    """Keeps nothing: for a demo, and wherever `report` tells the sender at once."""

    async def put(self, letters: list[DeadLetter]) -> None:
        """Forget them."""
