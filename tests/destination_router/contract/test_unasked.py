"""What nobody asks a message for is noted, so that nothing of it vanishes without a word.

Module: `contract/messages.py`.
"""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from destination_router import HttpRequest, Note, hookimpl
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import check_destination

TRACK = {"type": "track", "messageId": "m", "userId": "ada", "event": "E"}


def noted(read: Any = str, **fields: Any) -> list[str]:
    """The paths that a destination's requests leave out, by what it reads."""

    def on_track(message: Any) -> list[HttpRequest]:
        read(message)
        return [HttpRequest(url="https://vendor.example", json={"event": message.event})]

    hooks = {
        "settings_schema": lambda: {"type": "object", "additionalProperties": False},
        "on_identify": lambda: [None],
        "on_track": on_track,
    }
    marked = {name: hookimpl(function) for name, function in hooks.items()}
    plugin = check_destination(SimpleNamespace(**marked), "small", "small 1.0")
    decision = Connection("small", plugin, {}).decide(json.dumps({**TRACK, **fields}).encode())
    assert decision.result == "requests"
    assert all(isinstance(note, Note) and note.code == "dropped" for note in decision.notes)
    return [note.path for note in decision.notes]


@pytest.mark.parametrize(
    "fields",
    [{"traits": {"a": 1}}, {"userProperties": {"a": 1}}, {"email": "a@b.c"}, {"name": "n"}],
)
def test_a_field_that_its_call_does_not_define_is_noted(fields: dict[str, Any]) -> None:
    """Shopify's traits on an event, the mobile SDKs' userProperties."""
    assert noted(**fields) == list(fields)


def test_what_is_asked_for_is_the_destinations_affair() -> None:
    """A destination that reads a field sends it, or says itself why not."""
    fields = {"email": "a@b.c", "context": {"traits": {"a": 1}}}
    assert noted(**fields) == ["context.traits", "email"]
    assert noted(lambda message: message.other("email"), **fields) == ["context.traits"]
    assert noted(lambda message: message.context_traits, **fields) == ["email"]
    assert noted(lambda message: message.to_dict(), **fields) == []


@pytest.mark.parametrize(
    "fields",
    [
        {
            "sentAt": "x",
            "receivedAt": "y",
            "channel": "web",
            "rudderId": "r",
            "_metadata": {"a": 1},
        },
        {"traits": {}, "userProperties": None, "email": ""},
        {"anonymousId": "a", "context": {"traits": {"anonymousId": "a"}, "ip": "::1"}},
    ],
)
def test_envelopes_and_what_is_empty_are_not_noted(fields: dict[str, Any]) -> None:
    """Every SDK writes them; a note on each message would hide those that matter."""
    assert noted(**fields) == []
