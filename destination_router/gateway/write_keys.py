"""Where a request carries its source's write key: by the rules of rudder-server's gateway."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from destination_router.contract.records import Reject
from destination_router.gateway.request_headers import header


def header_key(request: Request) -> bytes:
    """Read the user name of HTTP Basic authentication.

    Raises:
        Reject: `missing_write_key`.
    """
    key = _basic_user(header(request.scope, b"authorization") or "")
    if not key:
        raise Reject("missing_write_key", "give the write key as the user name")
    return key


def query_key(request: Request) -> bytes:
    """Read `?writeKey=`.

    Raises:
        Reject: `missing_query_key`.
    """
    key = request.query_params.get("writeKey", "").encode()
    if not key:
        raise Reject("missing_query_key", "give the write key as ?writeKey=")
    return key


def any_key(request: Request) -> bytes:
    """Read `?writeKey=` or the user name of HTTP Basic authentication; the query comes first.

    Raises:
        Reject: `missing_query_key`.
    """
    if not request.query_params.get("writeKey") and (
        key := _basic_user(header(request.scope, b"authorization") or "")
    ):
        return key
    return query_key(request)


def _basic_user(authorization: str) -> bytes:
    """Read the user name by the rules of Go's `BasicAuth`; empty if there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        user, colon, _ = base64.b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b""
    return user if colon else b""
