"""Whom Heap deletes, in which requests, and what its answers mean."""

from typing import Any

import pytest

from destination_router import (
    BasicAuth,
    BearerAuth,
    DeletionProgress,
    DeletionToken,
    HttpRequest,
    HttpResponse,
    Identifier,
    Reject,
    UserDeletion,
)
from heap_destination.deletion import HeapDeletion
from heap_destination.settings import heap_settings


def deletion(**settings: Any) -> UserDeletion:
    return HeapDeletion(heap_settings({"appId": "11", "deletionApiKey": "key", **settings}))


def answer(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status=status, body=body)


@pytest.mark.parametrize(
    ("settings", "kind", "subject"),
    [
        ({}, "userId", {"identity": "anon-1"}),
        ({"anonymousEvents": "stitch"}, "anonymousId", {"user_id": "1639105742322265"}),
        ({"dialect": "rudderstack"}, "userId", {"identity": "anon-1"}),
        ({"dialect": "rudderstack"}, "anonymousId", {"identity": "anon-1"}),
        ({"dialect": "segment"}, "userId", {"identity": "anon-1"}),
    ],
)
def test_a_user_is_named_as_their_events_were(
    settings: dict[str, Any], kind: Any, subject: dict[str, str]
) -> None:
    """By identity, or by the user_id that stitching makes of an anonymousId."""
    assert deletion(**settings).subject(Identifier(kind, "anon-1")) == subject


@pytest.mark.parametrize(
    ("settings", "kind", "value", "code"),
    [
        ({}, "anonymousId", "anon-1", "not_deletable"),
        ({"dialect": "segment"}, "anonymousId", "anon-1", "not_deletable"),
        ({}, "userId", "undefined", "unsafe_identity"),
        ({"anonymousEvents": "stitch"}, "anonymousId", "NULL", "unsafe_identity"),
        ({}, "userId", "x" * 256, "unsafe_identity"),
    ],
)
def test_who_cannot_be_named_is_refused(
    settings: dict[str, Any], kind: Any, value: str, code: str
) -> None:
    """An id that everybody carries would delete everybody; the partner API's ids have no name."""
    with pytest.raises(Reject) as refused:
        deletion(**settings).subject(Identifier(kind, value))
    assert (refused.value.code, refused.value.path) == (code, kind)
    assert value not in refused.value.detail


def test_the_requests_are_the_documented_ones() -> None:
    """A token by Basic authentication, a group of users, and a question by the request's id."""
    europe = deletion(region="EU")
    base = "https://c.eu.heap-api.com/api/public/v0"
    assert europe.token_request() == HttpRequest(
        url=f"{base}/auth_token", auth=BasicAuth("11", "key")
    )
    assert europe.deletion_request([{"identity": "a"}, {"user_id": "7"}], "t") == HttpRequest(
        url=f"{base}/user_deletion",
        json={"users": [{"identity": "a"}, {"user_id": "7"}]},
        auth=BearerAuth("t"),
    )
    assert europe.status_request("42", "t") == HttpRequest(
        method="GET", url=f"{base}/deletion_status/42", auth=BearerAuth("t")
    )
    assert europe.group == 10_000


def test_a_missing_key_is_named() -> None:
    """Before anything is sent, with what to do."""
    bare = HeapDeletion(heap_settings({"appId": "11"}))
    with pytest.raises(Reject, match="missing_api_key: deletionApiKey: give the key"):
        bare.token_request()


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"access_token": "abc"}', DeletionToken("abc", 300.0)),
        (b"{}", None),
        (b"[]", None),
        (b"not JSON", None),
        (b'{"access_token": null}', None),
    ],
)
def test_a_token_lives_five_minutes(body: bytes, token: DeletionToken | None) -> None:
    """An answer without one is no token."""
    assert deletion().read_token(answer(body)) == token


def test_the_request_id_is_read() -> None:
    """As text, be it a number; an answer without one cannot be asked about."""
    for body in (b'{"deletion_request_id": "42"}', b'{"deletion_request_id": 42}'):
        assert deletion().read_deletion(answer(body, 201)) == DeletionProgress("pending", "42")
    assert deletion().read_deletion(answer(b'{"deletion_request_id": true}', 201)).state == "failed"


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b'{"status": "complete"}', "complete"),
        (b'{"status": "Pending"}', "pending"),
        (b'{"status": "lost"}', "failed"),
        (b"", "failed"),
    ],
)
def test_the_status_is_read(body: bytes, state: str) -> None:
    """What is neither pending nor complete is not taken for either."""
    assert deletion().read_status(answer(body)).state == state


def test_no_record_shows_what_is_personal_or_secret() -> None:
    """They are printed in tracebacks and logs."""
    assert "ada" not in repr(Identifier("userId", "ada"))
    assert "abc" not in repr(DeletionToken("abc", 300.0))
