"""How a request is shown, logged and kept: as it goes out, with every secret hidden."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from destination_router.model import BasicAuth, BearerAuth, HttpRequest, Json
from destination_router.settings import HIDDEN

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

_SEARCHED_BYTES = 4
"""A shorter secret is not looked for inside Base64: its few characters stand there by chance."""


def hide(value: Json, secrets: Collection[str]) -> Json:
    """Copy a JSON value with every occurrence of a secret replaced, in keys too."""
    return _hide(value, _pattern(frozenset(secrets))) if secrets else value


def shown_request(request: HttpRequest, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Turn a request into what a person or a log may see.

    Args:
        request: the request.
        secrets: the values to hide: `secret_values` of the connection's settings.

    Returns:
        `{"method", "url", "params", "headers", "json" | "form"}`; the body's key is there only if
        the request has that body.
    """
    parts: dict[str, Json] = {
        "url": request.url,
        "params": dict(request.params),
        "headers": _shown_headers(request),
    }
    if request.json is not None:
        parts["json"] = request.json
    if request.form is not None:
        parts["form"] = dict(request.form)
    # Part by part: a secret that happens to be the word `json` must not rename the part.
    return {"method": request.method, **{name: hide(part, secrets) for name, part in parts.items()}}


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


@lru_cache
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    # The longest first, or a secret that begins another would leave its end to be read.
    spellings = sorted(_spellings(secrets), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, spellings)))


def _spellings(secrets: Collection[str]) -> set[str]:
    """List the forms in which a secret may stand in a request."""
    spellings: set[str] = set()
    for secret in secrets:
        content = secret.encode("utf-8", "surrogatepass")  # an environment may hold any bytes
        spellings |= {secret, quote(content), quote(content, safe=""), quote_plus(content)}
        spellings |= {json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
        for credentials in (content, content + b":", b":" + content):
            spellings.add(base64.b64encode(credentials).decode())
        if len(content) >= _SEARCHED_BYTES:
            spellings |= _base64_cores(content)
    return spellings


def _base64_cores(content: bytes) -> set[str]:
    """List how a secret reads in the Base64 of a longer text, as in `user:password`.

    It depends on where in a group of three bytes the secret starts; the characters at its edges,
    which it shares with its neighbours, are left out.
    """
    cores = set()
    for offset, shared in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(offset) + content).decode()
        core = encoded[shared : (offset + len(content)) * 8 // 6]
        cores |= {core, core.replace("+", "-").replace("/", "_")}
    return cores


def _hide(value: Json, spellings: re.Pattern[str]) -> Json:
    if isinstance(value, str):
        return spellings.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {_hide(key, spellings): _hide(item, spellings) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item, spellings) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return HIDDEN if any(map(spellings.search, _number_texts(value))) else value
    return value


def _number_texts(number: Any) -> list[str]:
    """Write a number as JSON does, and a float that is whole as an integer too."""
    if isinstance(number, float) and number.is_integer():
        return [str(number), str(int(number))]
    return [str(number)]
