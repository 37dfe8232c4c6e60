"""The contract of a vendor's deletion of users: who, in which requests, and what answers mean.

A destination whose vendor can delete gives a `UserDeletion`: pure functions. The host does the
rest: it masks ids as delivery did, makes groups, gets and renews tokens, sends, waits, asks until
it is done, and keeps the state and the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from destination_router.contract.records import HttpRequest, HttpResponse, Json


class Identifier(msgspec.Struct, frozen=True):
    """One id of somebody who shall be deleted, as messages carry it.

    Attributes:
        kind: which field of a message it stands in.
        value: the id.
    """

    kind: Literal["userId", "anonymousId"]
    value: str

    def __repr__(self) -> str:
        return f"Identifier({self.kind!r}, '***')"


class DeletionToken(msgspec.Struct, frozen=True):
    """What a vendor lets in for a while.

    Attributes:
        value: the token.
        lifetime: in seconds, from when it was given.
    """

    value: str
    lifetime: float

    def __repr__(self) -> str:
        return f"DeletionToken('***', {self.lifetime})"


class DeletionProgress(msgspec.Struct, frozen=True):
    """How a deletion stands, as the vendor says.

    Attributes:
        state: `pending`, `complete`, or `failed`: for good.
        request_id: what the vendor calls it, to ask about it; empty where there is nothing to ask.
        detail: why it failed, without personal values.
    """

    state: Literal["pending", "complete", "failed"]
    request_id: str = ""
    detail: str = ""


class UserDeletion(Protocol):
    """A vendor's deletion of users, with a connection's settings. Pure; the host does all I/O.

    The functions that read are given answers of 2xx alone. Of the others the host makes: 401, a
    new token, once; 401 to that, 403, 407 and redirects, the end of the run, and what is pending
    stays so; 408, 423, 429 and 5xx, the same again later; the rest, failed.
    """

    @property
    def group(self) -> int:
        """How many users a request takes at most."""

    def subject(self, identifier: Identifier) -> Json:
        """Say whom the vendor knows by an id: what stands for them in a request.

        Raises:
            Reject: the vendor cannot delete by this id, or must not.
        """

    def token_request(self) -> HttpRequest | None:
        """Ask for a token; None where requests need none.

        Raises:
            Reject: a setting is missing: which, and how to give it.
        """

    def read_token(self, response: HttpResponse) -> DeletionToken | None:
        """Read the token; None if there is none in the answer."""

    def deletion_request(self, subjects: Sequence[Json], token: str) -> HttpRequest:
        """Ask for a group of users to be deleted.

        Args:
            subjects: at least one, at most `group`.
            token: empty where there is none.
        """

    def read_deletion(self, response: HttpResponse) -> DeletionProgress:
        """Read what the vendor says to that."""

    def status_request(self, request_id: str, token: str) -> HttpRequest:
        """Ask how a deletion stands."""

    def read_status(self, response: HttpResponse) -> DeletionProgress:
        """Read how it stands."""
