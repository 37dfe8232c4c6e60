"""The Mixpanel destination: its hooks, as a table of contents."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette

from destination_router import (
    Alias,
    Field,
    Group,
    HttpRequest,
    HttpResponse,
    Identify,
    Ignored,
    Json,
    Outcome,
    Page,
    Quota,
    Screen,
    Track,
    hookimpl,
)
from mixpanel_destination.calls import alias_user, describe_group, identify_user
from mixpanel_destination.events import track_event, view_event
from mixpanel_destination.fields import FIELDS
from mixpanel_destination.limits import (
    BYTES_PER_MINUTE,
    EVENTS_PER_MINUTE,
    EVENTS_PER_REQUEST,
)
from mixpanel_destination.packing import pack_requests
from mixpanel_destination.responses import read_response
from mixpanel_destination.settings import SETTINGS_SCHEMA, MixpanelSettings


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe a Mixpanel connection's settings."""
    return SETTINGS_SCHEMA


@hookimpl
def configure(settings: dict[str, Json]) -> MixpanelSettings:
    """Type the settings once, for all other hooks."""
    return msgspec.convert(settings, MixpanelSettings)


@hookimpl
def default_subscription(settings: MixpanelSettings) -> str:
    """Take the calls that the project has a use for."""
    return settings.subscription


@hookimpl
def fields() -> dict[str, list[Field]]:
    """Name the fields that a connection's mapping may override."""
    return FIELDS


@hookimpl
def on_identify(message: Identify, settings: MixpanelSettings) -> list[HttpRequest] | Ignored:
    """Set the user's profile, and join what they did before they were known."""
    return identify_user(message, settings)


@hookimpl
def on_track(message: Track, settings: MixpanelSettings) -> list[HttpRequest]:
    """Record the event by its name."""
    return [track_event(message, settings)]


@hookimpl
def on_page(message: Page, settings: MixpanelSettings) -> list[HttpRequest]:
    """Record that a page was seen: one event name for all pages."""
    return [view_event(message, settings.page_event, settings)]


@hookimpl
def on_screen(message: Screen, settings: MixpanelSettings) -> list[HttpRequest]:
    """Record that a screen was seen: one event name for all screens."""
    return [view_event(message, settings.screen_event, settings)]


@hookimpl
def on_group(message: Group, settings: MixpanelSettings) -> list[HttpRequest] | Ignored:
    """Put the user into the group, and set the group's profile."""
    return describe_group(message, settings)


@hookimpl
def on_alias(message: Alias, settings: MixpanelSettings) -> list[HttpRequest]:
    """Join two ids of a user, in a project that does so by request."""
    return alias_user(message, settings)


@hookimpl
def window() -> int:
    """Let windows fill Mixpanel's largest bulk."""
    return EVENTS_PER_REQUEST


@hookimpl
def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
    """Fold the updates of a profile, and send each kind as one bulk."""
    return pack_requests(requests)


@hookimpl
def on_response(request: HttpRequest, response: HttpResponse) -> Outcome | dict[str, Outcome]:
    """Find the events that Mixpanel refused among those that it stored."""
    return read_response(request, response)


@hookimpl
def quotas() -> list[Quota]:
    """Declare the limits of a project's events; Mixpanel names none for profiles."""
    return [
        Quota(name="bytes", limit=BYTES_PER_MINUTE, period=60.0, unit="bytes"),
        Quota(name="events", limit=EVENTS_PER_MINUTE, period=60.0, unit="events"),
    ]


@hookimpl
def origins(settings: MixpanelSettings) -> list[str]:
    """Name the region's host."""
    return [settings.url("")]


@hookimpl
def simulator(settings: MixpanelSettings) -> Starlette:
    """Stand in for Mixpanel: an app that enforces its documented rules."""
    from mixpanel_destination.simulator import create_simulator  # noqa: PLC0415 -- only for demos

    account = settings.service_account
    return create_simulator(
        settings.token,
        service_account=(account.username, account.secret, account.project_id) if account else None,
        group_keys=[settings.group_key] if settings.group_key else [],
        id_merge=settings.id_merge,
    )
