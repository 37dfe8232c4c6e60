"""A request's headers as they go over the wire, whoever sends it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from destination_router.contract.records import BasicAuth, BearerAuth, HttpRequest

_FRAMING = frozenset({"content-length", "transfer-encoding"})
"""They say where a body ends, which only who writes the body knows."""


def headers_of(request: HttpRequest, own: Mapping[str, str], content_type: str) -> dict[str, str]:
    """Write a request's headers, each once, in whatever case it is given: HTTP refuses some twice.

    Those that a destination gives come before the host's, but for what the rest of the request
    settles: its credentials, its packing, and where its body ends.

    Args:
        request: whose.
        own: the host's.
        content_type: the type of its body; empty: it has none.
    """
    headers = {**own}
    if content_type:
        headers["Content-Type"] = content_type
    settled: dict[str, str] = {}
    if request.gzip and content_type:
        settled["Content-Encoding"] = "gzip"
    match request.auth:
        case BasicAuth(username, password):
            credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
            settled["Authorization"] = f"Basic {credentials}"
        case BearerAuth(token):
            settled["Authorization"] = f"Bearer {token}"
        case _:
            pass
    if request.headers:
        not_given = _FRAMING | {name.lower() for name in settled}
        given = {n: value for n, value in request.headers.items() if n.lower() not in not_given}
        names = {name.lower() for name in given}
        headers = {n: value for n, value in headers.items() if n.lower() not in names} | given
    return headers | settled
