"""The Heap destination: its hooks, as a table of contents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from destination_router import (
    Alias,
    Field,
    Group,
    HttpRequest,
    HttpResponse,
    Identify,
    Ignored,
    Imported,
    Json,
    Outcome,
    Page,
    Quota,
    Screen,
    Track,
    UserDeletion,
    hookimpl,
)
from heap_destination.calls import (
    check_call,
    identify_user,
    is_event,
    merge_users,
    record_event,
    record_track,
    update_account,
)
from heap_destination.deletion import HeapDeletion
from heap_destination.fields import FIELDS
from heap_destination.identity import NAMES, RUDDERSTACK_NAME
from heap_destination.migration import import_from
from heap_destination.packing import pack_requests
from heap_destination.quotas import QUOTAS
from heap_destination.responses import read_response
from heap_destination.settings import (
    SETTINGS_SCHEMA,
    HeapSettings,
    heap_settings,
    renamed_settings,
)


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe a Heap connection's settings."""
    return SETTINGS_SCHEMA


@hookimpl
def configure(settings: dict[str, Json]) -> HeapSettings:
    """Type the settings once, for all other hooks."""
    return heap_settings(settings)


@hookimpl
def display_names() -> list[str]:
    """Name Heap as senders do in `integrations`."""
    return list(NAMES)


@hookimpl
def more_display_names(settings: HeapSettings) -> list[str]:
    """Name Heap as Segment's senders do, in its dialects."""
    return list(settings.rules.names)


@hookimpl
def takes_any_type(settings: HeapSettings) -> bool:
    """Check the types of fields as the dialect's system does."""
    return settings.rules.event_shape is not None


@hookimpl
def default_subscription(settings: HeapSettings) -> str:
    """Take the messages that the dialect's system takes."""
    return settings.rules.subscription


@hookimpl
def fields() -> dict[str, list[Field]]:
    """Name the fields that a connection's mapping may override."""
    return FIELDS


@hookimpl
def import_settings(system: str, config: dict[str, Json]) -> Imported:
    """Translate what Segment or RudderStack exported for Heap."""
    return import_from(system, config)


@hookimpl
def settings_from(config: dict[str, Json]) -> dict[str, Json]:
    """Read what RudderStack keeps for Heap: `dataResidency` is the region."""
    return renamed_settings(config)


@hookimpl
def client_side(settings: HeapSettings) -> dict[str, Json]:
    """Let RudderStack's browser SDK load Heap's own, with the same App ID."""
    return {
        "name": "HEAP",
        "displayName": RUDDERSTACK_NAME,
        "config": {"appId": settings.app_id},
    }


@hookimpl
def on_identify(message: Identify, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """Create or update the user."""
    return identify_user(message, settings)


@hookimpl
def on_track(message: Track, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """Record the event by its name."""
    return record_track(message, settings)


@hookimpl
def on_page(message: Page, settings: HeapSettings) -> list[HttpRequest]:
    """Record `Page viewed`: one event name for all pages, so that Heap stays readable."""
    check_call(message, settings)
    return record_event(message, settings)


@hookimpl
def on_screen(message: Screen, settings: HeapSettings) -> list[HttpRequest]:
    """Record `Screen viewed`: one event name for all screens, so that Heap stays readable."""
    check_call(message, settings)
    return record_event(message, settings)


@hookimpl
def on_group(message: Group, settings: HeapSettings) -> list[HttpRequest]:
    """Create or update the account, and join the user to it if the settings say how."""
    check_call(message, settings)
    if is_event(message, settings):
        return record_event(message, settings)
    return update_account(message, settings)


@hookimpl
def on_alias(message: Alias, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """Merge the previous id into the user if stitching is on; ignored otherwise."""
    check_call(message, settings)
    if is_event(message, settings):
        return record_event(message, settings)
    return merge_users(message, settings)


@hookimpl
def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
    """Fold the updates of a user or account, and send each kind as one bulk."""
    return pack_requests(requests)


@hookimpl
def on_response(request: HttpRequest, response: HttpResponse) -> Outcome | dict[str, Outcome]:
    """Find the message that Heap refused among those that it took."""
    return read_response(request, response)


@hookimpl
def quotas() -> list[Quota]:
    """Declare the rate limits that Heap documents."""
    return list(QUOTAS)


@hookimpl
def cautions(settings: HeapSettings) -> list[str]:
    """Warn, if merges are on, that Heap documents them for one environment only."""
    if settings.anonymous_events != "stitch":
        return []
    words = (
        "anonymousEvents: stitch: Heap documents the merging of users for the Main Production "
        "environment; if appId is another's, anonymous users may never be merged"
    )
    return [words]


@hookimpl
def origins(settings: HeapSettings) -> list[str]:
    """Name the region's host, which takes all of Heap's requests."""
    return [settings.base_url]


@hookimpl
def user_deletion(settings: HeapSettings) -> UserDeletion:
    """Delete users with Heap's deletion API, in all environments of the project."""
    return HeapDeletion(settings)


@hookimpl
def simulator() -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Stand in for Heap: an app that enforces Heap's documented rules."""
    from heap_destination.simulator import create_simulator  # noqa: PLC0415 -- only for demos

    return create_simulator()
