"""Heap's deletion of users: a token by HTTP Basic, groups of users, and asking until it is done.

https://developers.heap.io/reference/user-deletion documents the bodies. Heap deletes a user in all
environments of the project. The key is the one of the Main Production environment.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from destination_router import (
    BasicAuth,
    BearerAuth,
    DeletionProgress,
    DeletionToken,
    HttpRequest,
    HttpResponse,
    Identifier,
    Json,
    Reject,
)
from heap_destination.identity import stitched_user_id, unsafe
from heap_destination.limits import DELETED_USERS, TOKEN_SECONDS
from heap_destination.settings import HeapSettings

AUTH_TOKEN = "/api/public/v0/auth_token"  # noqa: S105 -- a path
USER_DELETION = "/api/public/v0/user_deletion"
DELETION_STATUS = "/api/public/v0/deletion_status/"


class HeapDeletion(msgspec.Struct, frozen=True):
    """Lets the host delete users; see `UserDeletion`."""

    settings: HeapSettings
    group: int = DELETED_USERS

    def subject(self, identifier: Identifier) -> Json:
        """Name a user as their events do: by identity, or by the stitched `user_id`."""
        value = identifier.value
        if danger := unsafe(value, self.settings):
            detail = f"{danger}: whoever carries it would be deleted; name one person"
            raise Reject("unsafe_identity", detail, identifier.kind)
        rules = self.settings.rules
        is_identity = (
            identifier.kind in (*rules.user_identity, *rules.event_identity)
            if rules.unusable != "unsafe"
            else identifier.kind == "userId"
        )
        if is_identity:
            return {"identity": value}
        if identifier.kind == "anonymousId" and self.settings.anonymous_events == "stitch":
            return {"user_id": stitched_user_id(value)}
        detail = "Heap deletes by identity and user_id only, and events went out under neither"
        raise Reject("not_deletable", detail, identifier.kind)

    def token_request(self) -> HttpRequest:
        """Ask for a token with the App ID and the API key."""
        key = self.settings.deletion_api_key
        if key is None:
            raise Reject(
                "missing_api_key",
                "give the key of Heap's Main Production environment by reference, such as "
                '{ env = "HEAP_API_KEY" }',
                "deletionApiKey",
            )
        return HttpRequest(
            url=self.settings.base_url + AUTH_TOKEN, auth=BasicAuth(self.settings.app_id, key)
        )

    def read_token(self, response: HttpResponse) -> DeletionToken | None:
        """Read `{"access_token": "..."}`."""
        token = _member(response, "access_token")
        return DeletionToken(token, TOKEN_SECONDS) if token else None

    def deletion_request(self, subjects: Sequence[Json], token: str) -> HttpRequest:
        """Ask for users to be deleted."""
        return HttpRequest(
            url=self.settings.base_url + USER_DELETION,
            json={"users": list(subjects)},
            auth=BearerAuth(token),
        )

    def read_deletion(self, response: HttpResponse) -> DeletionProgress:
        """Read `{"deletion_request_id": ...}`."""
        request_id = _member(response, "deletion_request_id")
        if not request_id:
            return DeletionProgress("failed", detail="the answer has no deletion_request_id")
        return DeletionProgress("pending", request_id)

    def status_request(self, request_id: str, token: str) -> HttpRequest:
        """Ask how a deletion stands."""
        return HttpRequest(
            method="GET",
            url=f"{self.settings.base_url}{DELETION_STATUS}{request_id}",
            auth=BearerAuth(token),
        )

    def read_status(self, response: HttpResponse) -> DeletionProgress:
        """Read `{"status": "pending" | "complete"}`."""
        match _member(response, "status").lower():
            case "complete":
                return DeletionProgress("complete")
            case "pending":
                return DeletionProgress("pending")
            case _:
                return DeletionProgress(
                    "failed", detail="its status is neither pending nor complete"
                )


def _member(response: HttpResponse, name: str) -> str:
    """Read a text, or a number as text, from an answer's object."""
    body = response.json()
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
