"""How a request is shown, logged and kept: as it goes out, with every secret hidden."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, quote_plus

from destination_router.model import BasicAuth, BearerAuth, HttpRequest, Json
from destination_router.settings import HIDDEN

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


def hide(value: Json, secrets: Collection[str]) -> Json:
    """Copy a JSON value with every occurrence of a secret replaced, in keys too."""
    if not secrets:
        return value
    return _hide(value, sorted(_spellings(secrets), key=len, reverse=True))


def shown_request(request: HttpRequest, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Turn a request into what a person or a log may see.

    Args:
        request: the request.
        secrets: the values to hide: `secret_values` of the connection's settings.

    Returns:
        `{"method", "url", "params", "headers", "json" | "form"}`; the body's key is there only if
        the request has that body.
    """
    shown: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "params": dict(request.params),
        "headers": _shown_headers(request),
    }
    if request.json is not None:
        shown["json"] = request.json
    if request.form is not None:
        shown["form"] = dict(request.form)
    hidden: dict[str, Any] = hide(shown, secrets)
    return hidden


def _shown_headers(request: HttpRequest) -> dict[str, str]:
    headers = {
        name: HIDDEN if name.lower() in _CREDENTIAL_HEADERS else value
        for name, value in request.headers.items()
    }
    match request.auth:
        case BasicAuth():
            headers["Authorization"] = f"Basic {HIDDEN}"
        case BearerAuth():
            headers["Authorization"] = f"Bearer {HIDDEN}"
    return headers


def _spellings(secrets: Collection[str]) -> set[str]:
    """List the forms in which a secret may stand in a request."""
    spellings: set[str] = set()
    for secret in secrets:
        spellings |= {secret, quote(secret, safe=""), quote_plus(secret)}
        for credentials in (secret, f"{secret}:", f":{secret}"):
            spellings.add(base64.b64encode(credentials.encode()).decode())
    return spellings


def _hide(value: Json, spellings: list[str]) -> Json:
    if isinstance(value, str):
        for spelling in spellings:
            value = value.replace(spelling, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_hide(key, spellings): _hide(item, spellings) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item, spellings) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return HIDDEN if str(value) in spellings else value
    return value
