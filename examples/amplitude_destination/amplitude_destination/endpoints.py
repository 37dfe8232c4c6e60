"""Amplitude's server-side APIs: one function per endpoint builds one request.

A single request is a bulk of one. The API key travels in the body, there is no header for it; the
two older APIs take forms, whose second field is JSON as text
[https://amplitude.com/docs/apis/analytics, pages http-v2, batch, group-identify, user-mapping].
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from amplitude_destination.limits import ID_CHARACTERS
from amplitude_destination.settings import MAPPING_ORIGINS, ORIGINS, AmplitudeSettings
from destination_router import Cost, HttpRequest, Json, Note

GROUP_IDENTIFY = "/groupidentify"
USER_MAP = "/usermap"


def event(
    settings: AmplitudeSettings, fields: dict[str, Json], notes: Sequence[Note]
) -> HttpRequest:
    """Record an event, or change a user's properties by one [http-v2, batch]."""
    return HttpRequest(
        url=ORIGINS[settings.region] + settings.api.path,
        json=events_body(settings, [fields]),
        notes=tuple(notes),
        costs=_event_costs(fields),
        identity=fields.get("user_id", ""),  # a device's id is no identity: it joins one
    )


def group_identify(
    settings: AmplitudeSettings, group_id: str, properties: dict[str, Json], notes: Sequence[Note]
) -> HttpRequest:
    """Set a group's properties [group-identify]."""
    update = {
        "group_type": settings.group_type,
        "group_value": group_id,
        "group_properties": properties,
    }
    return HttpRequest(
        url=ORIGINS[settings.region] + GROUP_IDENTIFY,
        form=form_body(settings, "identification", [update]),
        notes=tuple(notes),
        state_key=f"group:{group_id}",
        costs=(),
        identity="",
    )


def user_map(
    settings: AmplitudeSettings, user_id: str, global_user_id: str, notes: Sequence[Note]
) -> HttpRequest:
    """Say that a user is the same as another, across projects [user-mapping]."""
    mapping = {"user_id": user_id, "global_user_id": global_user_id}
    return HttpRequest(
        url=MAPPING_ORIGINS[settings.region] + USER_MAP,
        form=form_body(settings, "mapping", [mapping]),
        notes=tuple(notes),
        state_key=f"mapping:{user_id}",
        costs=(Cost("mappings_per_project"),),
        identity=global_user_id,
    )


def events_body(settings: AmplitudeSettings, events: list[Json]) -> dict[str, Json]:
    """Put events into a body; what it says of the shortest id holds for all of them."""
    body = {"api_key": settings.api_key, "events": events}
    if settings.min_id_length == ID_CHARACTERS:
        return body
    return {**body, "options": {"min_id_length": settings.min_id_length}}


def form_body(settings: AmplitudeSettings, name: str, items: list[Json]) -> dict[str, str]:
    """Put groups or mappings into a form: a JSON array, as text."""
    return {"api_key": settings.api_key, name: msgspec.json.encode(items).decode()}


def _event_costs(fields: dict[str, Json]) -> tuple[Cost, ...]:
    costs = [
        Cost(f"events_per_{name}", key=fields[f"{name}_id"])
        for name in ("user", "device")
        if f"{name}_id" in fields
    ]
    if fields["event_type"] == "$identify" and "user_id" in fields:
        costs.append(Cost("updates_per_user", key=fields["user_id"]))
    return tuple(costs)
