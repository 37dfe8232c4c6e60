"""Headers: each once, in whatever case it is given, and the host knows best where a body ends."""

from typing import Any

import pytest

from destination_router.contract.headers import headers_of
from destination_router.contract.records import BasicAuth, BearerAuth, HttpRequest


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({}, {"Host": "v.example", "Content-Type": "application/json"}),
        (
            {"headers": {"host": "shop.example", "X-A": "1"}},
            {"Content-Type": "application/json", "host": "shop.example", "X-A": "1"},
        ),
        ({"headers": {"content-type": "text/x"}}, {"Host": "v.example", "content-type": "text/x"}),
        (
            {"headers": {"content-length": "3", "Transfer-Encoding": "chunked"}},
            {"Host": "v.example", "Content-Type": "application/json"},
        ),
        (
            {"headers": {"authorization": "own"}},
            {"Host": "v.example", "Content-Type": "application/json", "authorization": "own"},
        ),
        (
            {"headers": {"authorization": "own"}, "auth": BearerAuth("token")},
            {
                "Host": "v.example",
                "Content-Type": "application/json",
                "Authorization": "Bearer token",
            },
        ),
        (
            {"headers": {"AUTHORIZATION": "own"}, "auth": BasicAuth("user", "word")},
            {
                "Host": "v.example",
                "Content-Type": "application/json",
                "Authorization": "Basic dXNlcjp3b3Jk",
            },
        ),
        (
            {"headers": {"content-encoding": "identity"}, "gzip": True},
            {"Host": "v.example", "Content-Type": "application/json", "Content-Encoding": "gzip"},
        ),
    ],
)
def test_each_header_stands_once(changes: dict[str, Any], headers: dict[str, str]) -> None:
    """A vendor gets no two credentials, and no two words about what the body is."""
    request = HttpRequest(url="https://v.example/a", json={"a": 1}, **changes)
    assert headers_of(request, {"Host": "v.example"}, "application/json") == headers


def test_what_has_no_body_has_no_type() -> None:
    """Nor is it packed."""
    request = HttpRequest(url="https://v.example/a", method="GET", gzip=True)
    assert headers_of(request, {}, "") == {}
