"""What of a hook's answer HTTP can carry, and what it cannot."""

import pytest

from destination_router import HttpRequest
from destination_router.pipeline import answers


def unsendable(request: HttpRequest) -> str | None:
    return answers.unsendable(request.method, request.url, request.headers)


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest(url="https://vendor.example"),
        HttpRequest(url="http://127.0.0.1:9100/in", method="PATCH"),
        HttpRequest(url="https://[::1]:8443/a/b%20c"),
        HttpRequest(url="https://vendor.example/gr\N{LATIN SMALL LETTER O WITH DIAERESIS}n"),
        HttpRequest(url="https://vendor.example/", headers={"X-Api-Key": "a b\tc", "x": ""}),
    ],
)
def test_what_can_be_carried(request_: HttpRequest) -> None:
    """Nothing that works is refused."""
    assert unsendable(request_) is None


@pytest.mark.parametrize("url", ["", "/in", "vendor.example/in", "ftp://vendor.example/",
                                 "https://", "https:///in", "https://[x/", "https://a b/",
                                 "https://vendor.example:99999/", "https://:443/",
                                 "https://vendor.example/\n"])  # fmt: skip
def test_a_url_that_leads_nowhere(url: str) -> None:
    """A URL is absolute and has a host."""
    assert unsendable(HttpRequest(url=url)) == (
        "has a URL that is not http(s)://host/path without blanks"
    )


def test_a_header_that_would_write_another_one() -> None:
    """A value with a line end would be a header of the sender's choice."""
    request = HttpRequest(url="https://vendor.example", headers={"x-name": "a\r\nx-admin: 1"})
    told = unsendable(request)
    assert told == "has a header x-name whose value is not visible ASCII without line ends"
    assert "admin" not in told


@pytest.mark.parametrize("value", [" a", "a ", "\N{LATIN SMALL LETTER E WITH ACUTE}", "a\x00"])
def test_a_header_value_beyond_visible_ascii(value: str) -> None:
    """What servers read in several ways is not sent."""
    assert unsendable(HttpRequest(url="https://vendor.example", headers={"x": value}))


@pytest.mark.parametrize(
    "changes", [{"headers": {"x y": "1"}}, {"headers": {"": "1"}}, {"method": "GE T"}]
)
def test_names_that_are_no_tokens(changes: dict[str, object]) -> None:
    """A method and a header's name are tokens."""
    assert unsendable(HttpRequest(url="https://vendor.example", **changes))
