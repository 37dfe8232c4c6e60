"""The destination `router`: it passes on each message as the connection made it, and no more.

So a case says what a router does to messages before any destination sees them: transformations,
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
"""What the suite calls it: it is no entry point, since nobody would send events to it."""

URL = "https://router.invalid/"

KEYS = {
    "CONFORMANCE_MASKING_KEY_1": "0123456789abcdef0123456789abcdef",
    "CONFORMANCE_MASKING_KEY_2": "fedcba9876543210fedcba9876543210",
}
"""What the environment holds where the cases run. They are public: for nothing else."""


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe that there is nothing to set."""
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
