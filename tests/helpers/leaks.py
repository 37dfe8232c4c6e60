"""Looks for what should not be there: a secret in any casing and any usual encoding."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> set[str]:
    """Every form in which a secret could stand in a text."""
    forms: set[str] = set()
    for cased in {secret, secret.upper(), secret.lower()}:
        content = cased.encode("utf-8", "surrogatepass")
        forms |= {cased, json.dumps(cased)[1:-1], repr(cased)[1:-1], content.hex()}
        forms |= {quote(content), quote(content, safe=""), quote_plus(content)}
        for offset in range(3):  # where it starts within a group of three bytes
            encoded = base64.b64encode(bytes(offset) + content).decode()
            core = encoded[(0, 2, 3)[offset] : (offset + len(content)) * 8 // 6]
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return {form.lower() for form in forms}


def leaked(secrets: Iterable[str], outputs: Iterable[str]) -> set[str]:
    """Which of the secrets stand in any of the texts."""
    text = "\n".join(outputs).lower()
    return {secret for secret in secrets if any(form in text for form in spellings(secret))}


def strings(value: Any) -> Iterator[str]:
    """Every key and every value of a JSON value, as text; short and empty ones say nothing."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield str(value)
