"""What of a hook's answer HTTP can carry, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, force_setattr

from destination_router import BasicAuth, Cost, HttpRequest, Note, Pairing
from destination_router.pipeline import answers

PLAIN: dict[str, Any] = {
    "url": "https://vendor.example/in",
    "json": {"event": "Paid", "at": [1, None]},
    "notes": (Note("dropped", "properties.a", "null"),),
    "costs": (Cost("requests", 1, "ada"),),
    "bulk_costs": (Cost("events"),),
    "identity": "ada",
}
ODD: dict[str, tuple[Any, ...]] = {
    "url": ("", "/in", "https://vendor.example/other", b"https://vendor.example", None, {}),
    "method": ("GET", "P T", b"POST", None, 5),
    "params": ({"a": "b"}, (), None),
    "headers": ({"a": "b"}, {"a b": "c"}, {"a": 1}, [], None),
    "json": (None, [], "text", float("nan"), {1: 2}, {"a": object()}, {"a": {1, 2}}, 2**70),
    "form": ({}, {"a": "b"}, 5),
    "auth": (BasicAuth("a"), "a"),
    "message_ids": (("m1",), [], None, ""),
    "user_key": ("ada", "", 5),
    "notes": ((), [Note("dropped", "a", "b")], ("dropped",), None, (Note(1, 2, 3),)),  # type: ignore[arg-type]
    "state_key": ("user", 5),
    "items": ((("m1",),), [], None),
    "costs": (None, (), [Cost("a")], ("a",), 5),
    "bulk_costs": (None, (), [Cost("a")], ("a",), 5),
    "pairings": ((Pairing(rule="r", key="k", value="v", limit=1),), [], ("a",), None),
    "identity": (None, "", 5),
    "content": (b"x", "x"),
    "content_type": ("text/plain",),
    "gzip": (True, 0, None),
}


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


def built(**fields: Any) -> HttpRequest:
    """Make a request as a plugin might that takes no notice of types."""
    request = HttpRequest(url="")
    for name, value in {**PLAIN, **fields}.items():
        force_setattr(request, name, value)
    return request


def refusal(request: HttpRequest) -> str | None:
    try:
        answers.contents([request])
        answers.check_records([request])
    except answers.UnfitAnswer as unfit:
        return str(unfit)
    return None


def hold_to_a_closer_look(request: HttpRequest) -> None:
    if answers.passes_at_a_glance(request, bytearray()):
        assert refusal(request) is None


@given(st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in ODD.items()}))
def test_what_passes_at_a_glance_passes_a_closer_look(fields: dict[str, Any]) -> None:
    """Whatever is odd about a request, and however much of it."""
    hold_to_a_closer_look(built(**fields))


@pytest.mark.parametrize("field", ODD)
def test_one_odd_thing_at_a_time(field: str) -> None:
    """A request that is as usual but for one field."""
    for value in ODD[field]:
        hold_to_a_closer_look(built(**{field: value}))


def test_most_requests_pass_at_a_glance() -> None:
    """Otherwise it would save nothing."""
    request = built()
    assert answers.passes_at_a_glance(request, bytearray(b"of another request"))
    assert len(astuple(request)) == len(HttpRequest.__struct_fields__)
    assert not answers.passes_at_a_glance(object(), bytearray())


@given(st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in ODD.items()}))
def test_a_lone_request_has_its_content_or_is_left_for_a_closer_look(
    fields: dict[str, Any],
) -> None:
    """So do an answer without a request, one with two, and one that is none."""
    request = built(**fields)
    try:
        wanted = answers.contents([request])
    except answers.UnfitAnswer:
        wanted = [None]
    found = answers.lone_contents([[request], None, [], [request, request], (request,), [5]])
    assert found == [*wanted, None, None, None, None, None]
