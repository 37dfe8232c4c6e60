"""Heap's deletion of users: tokens expire, requests take time, and users are really deleted.

Source: developers.heap.io/reference/user-deletion. How long Heap takes, it does not say.
"""

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from heap_destination.simulator import checks, limits
from heap_destination.simulator.checks import BodyError

AUTH_TOKEN = "/api/public/v0/auth_token"  # noqa: S105 (a path)
USER_DELETION = "/api/public/v0/user_deletion"
DELETION_STATUS = "/api/public/v0/deletion_status"

API_KEY = "simulated-api-key"


class Target(msgspec.Struct, frozen=True):
    """Who is to be deleted: by one of the two."""

    identity: str | None = None
    user_id: str | None = None


class Told(NamedTuple):
    """A status and a body: JSON, or text."""

    status: int
    body: dict[str, Any] | str


class _Deletion(msgspec.Struct):
    targets: list[Target]
    due: float
    done: bool = False


class Deletions:
    """The three endpoints, and the requests for deletion so far.

    Args:
        api_key: the one that gets a token.
        seconds: how long a deletion takes.
        delete: deletes one user, in all environments.
    """

    def __init__(self, api_key: str, seconds: float, delete: Callable[[Target], None]) -> None:
        self._api_key = api_key
        self._seconds = seconds
        self._delete = delete
        self._tokens: dict[str, float] = {}
        self._deletions: dict[str, _Deletion] = {}

    def settle(self, now: float) -> None:
        """Delete what is due."""
        for deletion in self._deletions.values():
            if not deletion.done and deletion.due <= now:
                deletion.done = True
                for target in deletion.targets:
                    self._delete(target)

    def answer(
        self, method: str, path: str, body: Callable[[], object], authorization: str, now: float
    ) -> Told | None:
        """Answer a request to one of the endpoints, None to any other.

        Args:
            method: of HTTP.
            path: without the query.
            body: reads the body as JSON; may raise `BodyError`.
            authorization: the header.
            now: Unix time in seconds.
        """
        endpoint, _, request_id = path.partition(f"{DELETION_STATUS}/")
        if path == AUTH_TOKEN:
            return self._token(authorization, now) if method == "POST" else _wrong_method()
        if path == USER_DELETION:
            if method != "POST":
                return _wrong_method()
            return self._submit(body, now) if self._lets_in(authorization, now) else _stranger()
        if not endpoint and request_id:
            if method != "GET":
                return _wrong_method()
            return self._status(request_id) if self._lets_in(authorization, now) else _stranger()
        return None

    def _token(self, authorization: str, now: float) -> Told:
        app_id, _, key = _basic(authorization).partition(":")
        if not app_id.isdecimal() or not secrets.compare_digest(key.encode(), self._key()):
            return _stranger()
        token = secrets.token_urlsafe(24)
        self._tokens[token] = now + limits.TOKEN_SECONDS.value
        return Told(200, {"access_token": token})

    def _key(self) -> bytes:
        return self._api_key.encode()

    def _submit(self, body: Callable[[], object], now: float) -> Told:
        fields = checks.as_object(body(), "postBody")
        checks.only(fields, "postBody", frozenset({"users"}))
        users = checks.required(fields, "postBody", "users", _users)
        request_id = str(len(self._deletions) + 1)
        self._deletions[request_id] = _Deletion(users, now + self._seconds)
        return Told(201, {"deletion_request_id": request_id})

    def _status(self, request_id: str) -> Told:
        deletion = self._deletions.get(request_id)
        if deletion is None:
            return Told(404, "Not Found")
        return Told(200, {"status": "complete" if deletion.done else "pending"})

    def _lets_in(self, authorization: str, now: float) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._tokens.get(token, 0.0) > now


def _users(value: object, path: str) -> list[Target]:
    if type(value) is not list:
        raise BodyError(path, "should be array")
    if not 1 <= len(value) <= limits.DELETED_USERS.value:
        raise BodyError(path, f"should have 1 to {limits.DELETED_USERS.value} items")
    return [_user(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _user(value: object, path: str) -> Target:
    fields = checks.as_object(value, path)
    checks.only(fields, path, frozenset({"identity", "user_id"}))
    if len(fields) != 1:
        raise BodyError(path, "should have exactly one of 'identity' and 'user_id'")
    return Target(
        identity=checks.optional(fields, path, "identity", checks.identity),
        user_id=checks.optional(fields, path, "user_id", checks.user_id),
    )


def _basic(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _wrong_method() -> Told:
    return Told(405, "Method Not Allowed")


def _stranger() -> Told:
    return Told(401, "Unauthorized")
