"""Windows of messages for the packing checks: real traffic mixes and repeats like this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.checks.traffic import PLAIN

_USERS = 7
_TURNS = 4
_PLAIN = {message["type"]: message for message in PLAIN}


def mixed_window() -> Iterator[dict[str, Any]]:
    """Repeat every call for several users, with anonymous events between them."""
    for index in range(_USERS * _TURNS):
        for kind, message in _PLAIN.items():
            yield _made(message, f"window-{kind}-{index:04}", user=f"user-{index % _USERS}")
        yield _made(_PLAIN["track"], f"window-anonymous-{index:04}", user=None)


def conversation() -> Iterator[dict[str, Any]]:
    """Let users take turns: each identifies and tracks twice, then again with other traits."""
    for turn in range(_TURNS):
        for step, kind in enumerate(("identify", "track", "track")):
            for user in range(_USERS):
                made = _made(_PLAIN[kind], f"turn-{turn}-{step}-{user}", user=f"user-{user}")
                # Without a profile in its context, an event is one request with one place.
                yield {**made, "traits": {"turn": turn}, "context": {}}


def visitors() -> Iterator[dict[str, Any]]:
    """Let visitors become users in turns: unknown, with both ids, with one of them, known again.

    Their ids sort in another order than they come, and one identify comes in the middle.
    """
    steps = (
        ("track", False, True),
        ("identify", True, True),
        ("track", True, True),
        ("track", False, True),
        ("track", True, False),
        ("identify", True, True),
        ("track", True, True),
    )
    for step, (kind, known, unknown) in enumerate(steps):
        for person in range(_USERS):
            made = _made(_PLAIN[kind], f"visitor-{step}-{person}", user=None)
            yield {
                **made,
                "userId": f"user-{_USERS - person}" if known else None,
                "anonymousId": f"visitor-{person * 5 % _USERS}" if unknown else None,
                "traits": {"step": step},
                "context": {},
            }


def many(count: int) -> Iterator[list[dict[str, Any]]]:
    """Make a window of `count` unrelated messages for each kind of message."""
    for kind, message in _PLAIN.items():
        bare = {k: v for k, v in message.items() if k not in ("context", "properties", "traits")}
        yield [
            {
                **_made(bare, f"many-{kind}-{index:06}", user=f"user-{index}"),
                "groupId": f"g-{index}",
                "traits": {"place": f"many-{kind}-{index}"},
            }
            for index in range(count)
        ]
    yield [
        {**_made(_PLAIN["track"], f"many-anonymous-{index:06}", user=None), "context": {}}
        for index in range(count)
    ]


def heavy(size: int, most: int) -> Iterator[list[dict[str, Any]]]:
    """Make windows of events and of profiles whose messages together exceed `size` bytes.

    The messages are so large that fewer than `most` suffice.
    """
    fields = max(40, size * 6 // 5 // most // 200)
    load = {f"field-{index:02}": "x" * 200 for index in range(fields)}
    count = 2 + size // sum(map(len, load.values()))
    for kind, field in (("track", "properties"), ("identify", "traits"), ("group", "traits")):
        yield [
            {
                **_made(_PLAIN[kind], f"heavy-{kind}-{index:06}", user=f"user-{index}"),
                "groupId": f"g-{index}",
                "context": {},
                field: load,
            }
            for index in range(count)
        ]


def _made(message: dict[str, Any], message_id: str, user: str | None) -> dict[str, Any]:
    return {**message, "messageId": message_id, "userId": user}
