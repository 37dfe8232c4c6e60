"""The contract for deleting users at a vendor: the requests, and what answers mean.

A destination whose vendor can delete users returns a `UserDeletion`, whose functions are pure. The
host does the rest. It masks ids as delivery did, makes groups, gets and renews tokens, sends,
waits, asks until the vendor is done, and keeps the state and the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from destination_router.contract.records import HttpRequest, HttpResponse, Json


class Identifier(msgspec.Struct, frozen=True):
    """One id of a person to be deleted, as messages carry it.

    Attributes:
        kind: the field of a message that holds it.
        value: the id.
    """

    kind: Literal["userId", "anonymousId"]
    value: str

    def __repr__(self) -> str:
        return f"Identifier({self.kind!r}, '***')"


class DeletionToken(msgspec.Struct, frozen=True):
    """A token that the vendor accepts for some time.

    Attributes:
        value: the token.
        lifetime: the seconds for which the vendor accepts it.
    """

    value: str
    lifetime: float

    def __repr__(self) -> str:
        return f"DeletionToken('***', {self.lifetime})"


class DeletionProgress(msgspec.Struct, frozen=True):
    """The state of a deletion, as the vendor reports it.

    Attributes:
        state: `pending`, `complete`, or `failed` for good.
        request_id: the vendor's id of the deletion, to ask about it. Empty if there is none.
        detail: why it failed, without personal values.
    """

    state: Literal["pending", "complete", "failed"]
    request_id: str = ""
    detail: str = ""


class UserDeletion(Protocol):
    """Deletes users at a vendor, with a connection's settings. Pure: the host does all I/O.

    The functions that read get answers of 2xx only. The host deals with all others:

    | Status | What the host does |
    |---|---|
    | 401 | gets a new token, once |
    | 401 again, 403, 407, redirects | ends the run; what is pending stays pending |
    | 408, 423, 429, 5xx | sends the same again later |
    | any other | notes that the deletion failed |
    """

    @property
    def group(self) -> int:
        """The most users that one request takes."""

    def subject(self, identifier: Identifier) -> Json:
        """Return what stands for the person with this id in a request.

        Raises:
            Reject: The vendor cannot delete by this id, or must not.
        """

    def token_request(self) -> HttpRequest | None:
        """Return the request for a token, or None if requests need no token.

        Raises:
            Reject: A setting is missing. The text says which, and how to give it.
        """

    def read_token(self, response: HttpResponse) -> DeletionToken | None:
        """Read the token from the answer, or return None if it has none."""

    def deletion_request(self, subjects: Sequence[Json], token: str) -> HttpRequest:
        """Return the request that deletes a group of users.

        Args:
            subjects: what `subject` returned for each: at least one, at most `group`.
            token: the token. Empty if there is none.
        """

    def read_deletion(self, response: HttpResponse) -> DeletionProgress:
        """Read the answer to the deletion request."""

    def status_request(self, request_id: str, token: str) -> HttpRequest:
        """Return the request that asks for the state of a deletion."""

    def read_status(self, response: HttpResponse) -> DeletionProgress:
        """Read the state of the deletion from the answer."""
