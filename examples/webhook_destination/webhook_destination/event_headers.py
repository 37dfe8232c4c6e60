"""The headers that an event brings along in RudderStack's format: `header`, at its root.

Whoever may send events may write them, browsers included. So none replaces a header of the
configuration: a wrong key in one event would hold the connection for all.
"""

from __future__ import annotations

import json
import re

from destination_router import Json, Message, Note
from webhook_destination.settings import WebhookSettings

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
"""RFC 9110, 5.5 and 5.6.2; of ASCII alone, which every receiver reads the same way."""


def headers_of_event(
    message: Message, settings: WebhookSettings, notes: list[Note]
) -> dict[str, str]:
    """Give what an event adds to the headers; a note tells what is left out of them, and why."""
    given = message.other("header") if settings.event_routing else None
    if not given:
        return {}
    if not isinstance(given, dict):
        notes.append(Note("dropped", "header", "write the headers as an object"))
        return {}
    found: dict[str, str] = {}
    for name, value in given.items():
        reason = _unfit(name, text := _text(value), settings)
        if reason:
            notes.append(Note("dropped", "header", f"a header is left out: {reason}"))
        else:
            found[name.lower()] = text
    return found


def _unfit(name: str, text: str, settings: WebhookSettings) -> str:
    if not _NAME.fullmatch(name):
        return "its name is no token"
    if name.lower() in settings.reserved_headers:
        return "only the configuration sets it"
    if not _VALUE.fullmatch(text):
        return "its value is not visible ASCII in one line"
    return ""


def _text(value: Json) -> str:
    """Write what is no text as JSON, as RudderStack does: without blanks."""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, separators=(",", ":"))
