"""A request's body as bytes: what a host sends, signs its length for, and counts. Pure."""

from __future__ import annotations

import gzip
from urllib.parse import urlencode

import msgspec

from destination_router.contract.records import HttpRequest

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def body_of(request: HttpRequest) -> tuple[bytes, str] | None:
    """Write a request's body before any gzip, with its type; None where it has none."""
    if request.content is not None:
        return request.content, request.content_type
    if request.form is not None:
        return urlencode(dict(request.form)).encode(), FORM
    if request.json is not None:
        return _encode(request.json), JSON
    return None


def request_bytes(request: HttpRequest) -> int:
    """Count the bytes of a request's body before any gzip."""
    body = body_of(request)
    return 0 if body is None else len(body[0])


def gzipped(body: bytes) -> bytes:
    """Pack a body: the same bytes give the same bytes, whenever it is done."""
    return gzip.compress(body, compresslevel=6, mtime=0)
