"""Random messages from a fixed seed: the same ones on every machine, every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

_SEED = 20261122
_MESSAGES = 300
_KINDS = ("identify", "track", "page", "screen", "group", "alias")
_KEYS = (
    "a",
    "b",
    "a.b",
    "id",
    "email",
    "Email",
    "user_id",
    "name",
    "0",
    "",
    " ",
    "ключ",
    "x" * 1100,
)
_SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.0,
    0.1,
    1e21,
    2**53,
    2**63,
    "",
    " ",
    "text",
    "null",
    "0",
    "2026-11-22",
    "🙂",
    "x" * 1100,
)
_IDS: tuple[Any, ...] = ("user-1", "user-1", "null", "", " a ", 0, 7, None, "u" * 300)
_TIMES: tuple[Any, ...] = ("2026-11-22T10:00:00Z", "yesterday", "", 0, 1e12, None, "2026-11-22")


def generated_messages(count: int = _MESSAGES) -> Iterator[dict[str, Any]]:
    """Make messages of every kind, well-formed enough to reach the hooks."""
    chance = random.Random(_SEED)  # noqa: S311 -- chance, not secrecy
    for index in range(count):
        message = {
            "type": chance.choice(_KINDS),
            "messageId": f"generated-{index:04}",
            "userId": chance.choice(_IDS),
            "anonymousId": chance.choice(_IDS),
            "timestamp": chance.choice(_TIMES),
            "originalTimestamp": chance.choice(_TIMES),
            "event": chance.choice(("E", "", None, "e" * 1100, 5)),
            "name": chance.choice(("N", "", None)),
            "category": chance.choice(("C", None)),
            "groupId": chance.choice(_IDS),
            "previousId": chance.choice(_IDS),
            "properties": _object(chance, 0),
            "traits": _object(chance, 0),
            "context": {"traits": _object(chance, 1)},
            "integrations": {"All": chance.choice((True, True, True, False))},
        }
        absent = chance.sample(sorted(message.keys() - {"type"}), chance.randrange(4))
        yield {key: value for key, value in message.items() if key not in absent}


def _object(chance: random.Random, depth: int) -> dict[str, Any]:
    keys = chance.sample(_KEYS, chance.randrange(6))
    return {key: _value(chance, depth + 1) for key in keys}


def _value(chance: random.Random, depth: int) -> Any:
    draw = chance.random()
    if depth < 5 and draw < 0.15:  # noqa: PLR2004 -- how bushy the trees grow
        return _object(chance, depth)
    if depth < 5 and draw < 0.3:  # noqa: PLR2004
        return [_value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return chance.choice(_SCALARS)
