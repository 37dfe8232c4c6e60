"""How a dead letter is shown: ids, codes and the paths of fields; values only where asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from destination_router.commands.output import out
from destination_router.contract.records import Json
from destination_router.contract.times import format_time
from destination_router.eventlog.dead_letter import StoredLetter


def letter_json(letter: StoredLetter, *, content: bool) -> dict[str, Any]:
    """Turn a dead letter into what is printed.

    Args:
        letter: the letter.
        content: with values; otherwise the message and the request by the paths of their fields,
            and the detail only where it is in our own words.
    """
    told: dict[str, Any] = {
        "id": letter.id,
        "at": _time(letter.at),
        "connection": letter.connection,
        "messageId": letter.message_id,
        "code": letter.code,
        "attempts": letter.attempts,
        "status": letter.status,
        "replayedAt": None if letter.replayed_at is None else _time(letter.replayed_at),
    }
    message = _decoded(letter.body)
    if content:
        return {
            **told,
            "detail": letter.detail,
            "message": letter.body.decode("utf-8", "replace") if message is None else message,
            "request": letter.request,
            "answer": letter.answer,
        }
    request = letter.request or {}
    return {
        **told,
        "detail": letter.detail if letter.status is None else "",
        "fields": sorted(_paths(message)),
        "request": {key: request[key] for key in ("method", "url") if key in request} or None,
    }


def print_letter(letter: StoredLetter, *, content: bool) -> None:
    """Tell a dead letter in one line; with values, the message too."""
    told = letter_json(letter, content=content)
    words = [told["id"], told["at"], told["connection"], told["messageId"], told["code"]]
    if told["replayedAt"]:
        words.append(f"replayed {told['replayedAt']}")
    if told["detail"]:
        words.append(told["detail"])
    if content:
        words.append(letter.body.decode("utf-8", "replace"))
    out.print("  ".join(map(str, words)), markup=False)


def _decoded(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _paths(value: Json, prefix: str = "") -> set[str]:
    if isinstance(value, dict) and value:
        return {
            path
            for key, item in value.items()
            for path in _paths(item, f"{prefix}.{key}" if prefix else key)
        }
    return {prefix} if prefix else set()


def _time(moment: float) -> str:
    return format_time(datetime.fromtimestamp(moment, UTC))
