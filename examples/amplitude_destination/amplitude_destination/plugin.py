"""The Amplitude destination: its hooks, as a table of contents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from amplitude_destination.calls import (
    NAMES,
    identify_user,
    map_users,
    record_event,
    update_group,
)
from amplitude_destination.fields import FIELDS
from amplitude_destination.limits import GROUP_UPDATES, USER_MAPPINGS
from amplitude_destination.migration import import_from, renamed_settings
from amplitude_destination.packing import pack_requests
from amplitude_destination.quotas import quotas_of
from amplitude_destination.responses import read_response
from amplitude_destination.settings import (
    MAPPING_ORIGINS,
    ORIGINS,
    SETTINGS_SCHEMA,
    AmplitudeSettings,
)
from destination_router import (
    Alias,
    Field,
    Group,
    HttpRequest,
    HttpResponse,
    Identify,
    Imported,
    Json,
    Outcome,
    Page,
    Quota,
    Screen,
    Track,
    hookimpl,
)


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe an Amplitude connection's settings."""
    return SETTINGS_SCHEMA


@hookimpl
def configure(settings: dict[str, Json]) -> AmplitudeSettings:
    """Type the settings once, for all other hooks."""
    return msgspec.convert(settings, AmplitudeSettings)


@hookimpl
def display_names() -> list[str]:
    """Name Amplitude as senders do in `integrations`."""
    return list(NAMES)


@hookimpl
def default_subscription(settings: AmplitudeSettings) -> str:
    """Take all calls; aliases only if users are to be mapped."""
    calls = ["identify", "track", "page", "screen", "group"]
    if settings.map_users:
        calls.append("alias")
    return " or ".join(f'type = "{call}"' for call in calls)


@hookimpl
def fields() -> dict[str, list[Field]]:
    """Name the fields that a connection's mapping may override."""
    return FIELDS


@hookimpl
def import_settings(system: str, config: dict[str, Json]) -> Imported:
    """Translate what Segment or RudderStack exported for Amplitude."""
    return import_from(system, config)


@hookimpl
def settings_from(system: str, config: dict[str, Json]) -> dict[str, Json]:
    """Read what RudderStack keeps for Amplitude: `residencyServer` is the region."""
    return renamed_settings(system, config)


@hookimpl
def on_identify(message: Identify, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Change the user's properties, by an `$identify` event."""
    return identify_user(message, settings)


@hookimpl
def on_track(message: Track, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Record the event by its name, and its revenue."""
    return record_event(message, settings)


@hookimpl
def on_page(message: Page, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Record `Page Viewed`: one type for all pages, since Amplitude queries 2000 types at most."""
    return record_event(message, settings)


@hookimpl
def on_screen(message: Screen, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Record `Screen Viewed`: one type for all screens."""
    return record_event(message, settings)


@hookimpl
def on_group(message: Group, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Set the group's properties, and join the user to it."""
    return update_group(message, settings)


@hookimpl
def on_alias(message: Alias, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Map one user to another across projects."""
    return map_users(message, settings)


@hookimpl
def window(settings: AmplitudeSettings) -> int:
    """Let windows fill Amplitude's largest bulk."""
    return max(settings.api.events, GROUP_UPDATES, USER_MAPPINGS)


@hookimpl
def pack(requests: list[HttpRequest], settings: AmplitudeSettings) -> list[HttpRequest]:
    """Send each kind as one bulk; events, identify calls among them, in their order."""
    return pack_requests(requests, settings)


@hookimpl
def on_response(
    request: HttpRequest, response: HttpResponse, settings: AmplitudeSettings
) -> Outcome | dict[str, Outcome]:
    """Find the events that Amplitude refused or throttled among those that it did not."""
    return read_response(request, response, settings)


@hookimpl
def quotas(settings: AmplitudeSettings) -> list[Quota]:
    """Declare the rate limits that Amplitude documents."""
    return quotas_of(settings)


@hookimpl
def origins(settings: AmplitudeSettings) -> list[str]:
    """Name the hosts of the region: one for events and groups, one for mapped users."""
    return [ORIGINS[settings.region], MAPPING_ORIGINS[settings.region]]


@hookimpl
def simulator(settings: AmplitudeSettings) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Stand in for Amplitude: an app that enforces Amplitude's documented rules."""
    from amplitude_destination.simulator import create_simulator  # noqa: PLC0415 -- only for demos

    return create_simulator(settings.api_key)
