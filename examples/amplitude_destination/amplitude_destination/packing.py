"""Single requests → bulks: groups first, then user mappings, then one stream of events.

Identify calls are events here, and stay among them in their order: a change of a user's properties
holds for the events that come after it [https://amplitude.com/docs/apis/analytics/http-v2]. What
moves is a group's update and a user mapping, ahead of earlier events. Amplitude makes that
harmless: they are other APIs, which it promises no order with; a group's update holds for the
events that follow it [group-identify], so none of them goes without it; a mapping joins two users
whatever they did before or after [user-mapping].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from amplitude_destination.endpoints import GROUP_IDENTIFY, USER_MAP, events_body, form_body
from amplitude_destination.limits import (
    GROUP_PROPERTIES,
    GROUP_SIZE,
    GROUP_UPDATES,
    USER_MAPPING_SIZE,
    USER_MAPPINGS,
)
from amplitude_destination.settings import AmplitudeSettings
from destination_router import HttpRequest, Json, bulks

Packer = Callable[[Sequence[HttpRequest], AmplitudeSettings], list[HttpRequest]]


def pack_requests(
    requests: Sequence[HttpRequest], settings: AmplitudeSettings
) -> list[HttpRequest]:
    """Pack single requests, in order, into as few as Amplitude allows."""
    kinds: dict[str, list[HttpRequest]] = defaultdict(list)
    for request in requests:
        kinds[urlsplit(request.url).path].append(request)
    packers: dict[str, Packer] = {GROUP_IDENTIFY: _groups, USER_MAP: _mappings}
    packed = []
    for path in (*packers, settings.api.path):
        packed += packers.get(path, _events)(kinds[path], settings)
    return packed


def _events(requests: Sequence[HttpRequest], settings: AmplitudeSettings) -> list[HttpRequest]:
    return bulks(
        requests,
        item=lambda request: request.json["events"][0],
        body=lambda events: events_body(settings, events),
        most=settings.api.events,
        most_bytes=settings.api.size,
    )


def _groups(requests: Sequence[HttpRequest], settings: AmplitudeSettings) -> list[HttpRequest]:
    return bulks(
        requests,
        item=lambda request: _form_item(request, "identification"),
        body=lambda groups: form_body(settings, "identification", groups),
        most=GROUP_UPDATES,
        most_bytes=GROUP_SIZE,
        bounds=[(_properties, GROUP_PROPERTIES)],
    )


def _mappings(requests: Sequence[HttpRequest], settings: AmplitudeSettings) -> list[HttpRequest]:
    return bulks(
        requests,
        item=lambda request: _form_item(request, "mapping"),
        body=lambda mappings: form_body(settings, "mapping", mappings),
        most=USER_MAPPINGS,
        most_bytes=USER_MAPPING_SIZE,
    )


def _properties(group: Json) -> int:
    return len(group["group_properties"])


def _form_item(request: HttpRequest, name: str) -> Any:
    """Read the one item of a single request's form."""
    (item,) = msgspec.json.decode((request.form or {})[name])
    return item
