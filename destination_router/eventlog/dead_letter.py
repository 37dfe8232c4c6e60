"""Dead letters as records: messages that can never be delivered, with all there is to see why."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Letter(Protocol):
    """What is kept of a message that was given up; each worker brings a record of its own."""

    @property
    def connection(self) -> str:
        """Whose message it was."""

    @property
    def message_id(self) -> str:
        """The message's; empty where it could not be read."""

    @property
    def offset(self) -> int:
        """Its place in the event log."""

    @property
    def body(self) -> bytes:
        """The message as wire JSON."""

    @property
    def code(self) -> str:
        """Why: `missing_identity`, `http_400`."""

    @property
    def detail(self) -> str:
        """A sentence, or the vendor's own words."""

    @property
    def at(self) -> float:
        """When it was given up, as Unix time in seconds."""

    @property
    def attempts(self) -> int:
        """How many requests carried it."""

    @property
    def request(self) -> dict[str, Any] | None:
        """The last of them as it may be shown, secrets hidden."""

    @property
    def status(self) -> int | None:
        """The HTTP status of the vendor's answer."""

    @property
    def answer(self) -> str:
        """The vendor's answer as text."""


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is kept: a `Letter` with a number.

    Attributes:
        id: for commands; 0 before it is kept.
        message_id: the message's; one that has none is named after its place in the log.
        attempts: how many requests carried it, replays included.
        replayed_at: when it was put back into the log, Unix time in seconds; None if it was not,
            or if it failed again since.
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


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; what is None does not matter.

    Attributes:
        ids: by number.
        connection: by connection.
        code: by code.
        since: those that were given up at or after this Unix time.
        message_id: by message.
        replayed: only those that were replayed (True) or only those that were not (False).
        limit: the first so many of them.
    """

    ids: tuple[int, ...] = ()
    connection: str | None = None
    code: str | None = None
    since: float | None = None
    message_id: str | None = None
    replayed: bool | None = None
    limit: int | None = None
