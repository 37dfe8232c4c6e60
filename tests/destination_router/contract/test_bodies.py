"""What a host sends of a request's body, and how many bytes of it count."""

import gzip

import pytest

from destination_router import HttpRequest, body_bytes
from destination_router.contract.bodies import body_of, gzipped, request_bytes

URL = "https://vendor.example"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (HttpRequest(url=URL), None),
        (HttpRequest(url=URL, json={"a": "\u00e9"}), (b'{"a":"\xc3\xa9"}', "application/json")),
        (HttpRequest(url=URL, json=[]), (b"[]", "application/json")),
        (HttpRequest(url=URL, form={"a b": "1&2"}), (b"a+b=1%262", FORM)),
        (HttpRequest(url=URL, content=b"", content_type="a/b"), (b"", "a/b")),
        (HttpRequest(url=URL, content=b"\xff", content_type="a/b", gzip=True), (b"\xff", "a/b")),
    ],
)
def test_a_body_is_written_with_its_type(
    request_: HttpRequest, body: tuple[bytes, str] | None
) -> None:
    """Whichever of the three it is; what counts is its length before any gzip."""
    assert body_of(request_) == body
    assert request_bytes(request_) == (0 if body is None else len(body[0]))


def test_what_json_takes_is_counted_alike() -> None:
    """A `pack` and the host count the same."""
    value = {"a": ["b", 1.5, None]}
    assert request_bytes(HttpRequest(url=URL, json=value)) == body_bytes(value)


def test_packing_gives_the_same_bytes_every_time() -> None:
    """No time stands in them."""
    body = b"the same again " * 100
    packed = gzipped(body)
    assert gzip.decompress(packed) == body
    assert packed[4:8] == bytes(4)
    assert len(packed) < len(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"json": {}, "form": {}},
        {"json": {}, "content": b"a", "content_type": "a/b"},
        {"form": {}, "content": b"a", "content_type": "a/b"},
        {"content": b"a"},
    ],
)
def test_a_request_has_one_body_with_a_type(fields: dict[str, object]) -> None:
    """One of two would be lost, and bytes mean nothing without a type."""
    with pytest.raises(ValueError, match=r"one body|need a type"):
        HttpRequest(url=URL, **fields)  # type: ignore[arg-type]
