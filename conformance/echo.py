"""The destination `router`, which passes on each message as the connection made it.

With it, a case says what a router does to messages before a destination sees them: transformations,
privacy. Another implementation runs the cases with such a destination of its own.
"""

from __future__ import annotations

from destination_router import (
    Alias,
    Group,
    HttpRequest,
    Identify,
    Json,
    Message,
    Page,
    Screen,
    Track,
    hookimpl,
)

NAME = "router"
"""Its name in the suite. It has no entry point, because nobody sends events to it."""

URL = "https://router.invalid/"

KEYS = {
    "CONFORMANCE_MASKING_KEY_1": "0123456789abcdef0123456789abcdef",
    "CONFORMANCE_MASKING_KEY_2": "fedcba9876543210fedcba9876543210",
}
"""Environment variables for the cases. They are public: use them for nothing else."""


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe settings without any field."""
    return {"type": "object", "additionalProperties": False, "properties": {}}


@hookimpl
def on_identify(message: Identify) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


@hookimpl
def on_track(message: Track) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


@hookimpl
def on_page(message: Page) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


@hookimpl
def on_screen(message: Screen) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


@hookimpl
def on_group(message: Group) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


@hookimpl
def on_alias(message: Alias) -> list[HttpRequest]:
    """Pass it on."""
    return _echo(message)


def _echo(message: Message) -> list[HttpRequest]:
    return [HttpRequest(url=URL, json=message.to_dict())]
