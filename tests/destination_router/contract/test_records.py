"""The records that pass between a destination and its host."""

from typing import Any

import msgspec
import pytest

from destination_router import (
    BasicAuth,
    BearerAuth,
    HttpRequest,
    HttpResponse,
    Note,
    Outcome,
    Quota,
    Reject,
    default_outcome,
)

FULL: dict[str, Any] = {
    "url": "https://api.example.com/v1",
    "method": "PUT",
    "params": {"q": "1"},
    "headers": {"X-Version": "2"},
    "json": {"a": [1, 2.5, None, True, "é"]},
    "auth": BasicAuth("user", "pass"),
    "message_ids": ("m1", "m2"),
    "user_key": "u",
    "notes": (Note("renamed", "traits.id", "sent as _id"),),
    "state_key": "user:u",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"json": None, "form": {"a": "1"}, "auth": BearerAuth("t")},
        {"json": None, "content": b"\x00\xff", "content_type": "a/b", "gzip": True},
        {"params": {"id": ("1", "2"), "q": "1"}},
        {"auth": None, "json": None},
    ],
)
def test_a_request_compares_prints_and_serialises(more: dict[str, Any]) -> None:
    """A request is data: equal to its copy, and the same after a journey as JSON."""
    request = HttpRequest(**{**FULL, **more})
    assert request == HttpRequest(**{**FULL, **more})
    assert request != HttpRequest(**{**FULL, **more, "url": "https://other.example"})
    assert "https://api.example.com/v1" in repr(request)
    assert msgspec.json.decode(msgspec.json.encode(request), type=HttpRequest) == request


def test_a_request_is_a_post_without_anything_unless_it_says_otherwise() -> None:
    """Defaults are those of most vendors; none of them is written out."""
    request = HttpRequest(url="https://x.example")
    assert (request.method, request.json, request.form, request.auth) == ("POST", None, None, None)
    assert msgspec.to_builtins(request) == {"url": "https://x.example"}


@pytest.mark.parametrize("json", [{"a": 1}, {}, [], 0, ""])
def test_a_request_with_two_bodies_is_refused(json: object) -> None:
    """One of two bodies would be lost, so there cannot be two, empty or not."""
    with pytest.raises(ValueError, match="give `json` or `form`, not both"):
        HttpRequest(url="https://x.example", json=json, form={})


@pytest.mark.parametrize(
    ("reject", "detail"),
    [
        (Reject("missing_event", "name it", "event"), "event: name it"),
        (Reject("missing_event", "name it"), "name it"),
    ],
)
def test_a_rejection_tells_its_code_and_its_path(reject: Reject, detail: str) -> None:
    """The path of the field leads the sentence."""
    assert (reject.detail, str(reject)) == (detail, f"missing_event: {detail}")


REDIRECT = "a redirect, which is not followed"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Outcome.delivered()),
        (204, Outcome.delivered()),
        (299, Outcome.delivered()),
        (408, Outcome.retry(code="http_408")),
        (423, Outcome.retry(code="http_423")),
        (429, Outcome.retry(code="http_429")),
        (500, Outcome.retry(code="http_500")),
        (503, Outcome.retry(code="http_503")),
        (599, Outcome.retry(code="http_599")),
        (501, Outcome.rejected("http_501", "no such user")),
        (199, Outcome.rejected("http_199", "no such user")),
        *((status, Outcome.held(f"http_{status}", REDIRECT)) for status in (301, 302, 307, 308)),
        *((status, Outcome.held(f"http_{status}", "no such user")) for status in (401, 403, 407)),
        *(
            (status, Outcome.held(f"http_{status}", "no such user", unless_proven=True))
            for status in (402, 404, 405, 410)
        ),
        (400, Outcome.rejected("http_400", "no such user")),
        (406, Outcome.rejected("http_406", "no such user")),
        (600, Outcome.rejected("http_600", "no such user")),
    ],
)
def test_an_answer_is_read_as_most_vendors_mean_it(status: int, expected: Outcome) -> None:
    """Some ask for a retry, some hold the connection, a few of these unless it is proven."""
    response = HttpResponse(status=status, body=b"  no such user\nsee the manual")
    assert default_outcome(response) == expected


@pytest.mark.parametrize(
    ("header", "after"),
    [("120", 120.0), ("0", 0.0), ("Sun, 22 Nov 2026 10:00:00 GMT", None), ("-5", None), ("", None)],
)
def test_a_wait_in_seconds_is_passed_on(header: str, after: float | None) -> None:
    """A `Retry-After` in seconds is kept to; another form leaves the wait to the host."""
    response = HttpResponse(status=429, headers={"retry-after": header})
    assert default_outcome(response).after == after


def test_a_long_answer_is_cut() -> None:
    """A vendor's error page does not fill the dead letters."""
    assert default_outcome(HttpResponse(status=400, body=b"x" * 2000)).detail == "x" * 500


@pytest.mark.parametrize(
    ("body", "text", "json"),
    [
        (b'{"a": 1}', '{"a": 1}', {"a": 1}),
        (b"ok", "ok", None),
        (b"", "", None),
        (b'"\xff"', '"\ufffd"', None),
        (b"[" * 10_000, "[" * 10_000, None),
    ],
)
def test_an_answer_is_read_as_text_or_json_without_failing(
    body: bytes, text: str, json: object
) -> None:
    """Whatever a vendor answers, reading it does not raise."""
    response = HttpResponse(status=200, body=body)
    assert (response.text, response.json()) == (text, json)


def test_outcomes_have_one_shape_each() -> None:
    """The three constructors say all that an outcome can be."""
    assert Outcome.delivered() == Outcome("delivered")
    assert Outcome.retry(2.5) == Outcome("retry", after=2.5)
    assert Outcome.rejected("gone", "for good") == Outcome("rejected", "gone", "for good")


def test_a_quota_counts_requests_of_the_whole_connection_by_default() -> None:
    """Most vendors' limits are of that kind."""
    quota = Quota(name="requests_per_app", limit=10, period=1.0)
    assert (quota.unit, quota.scope) == ("requests", "connection")
