"""Single requests → bulk requests: user profiles, then group profiles, then events.

This moves profiles ahead of events, and Mixpanel makes that harmless: a profile has no history,
its last value is shown with past and future events alike, and an event carries its own time. The
updates of one profile keep their order; since Mixpanel does not say in which order it takes those
of one request, they are folded into one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from destination_router import HttpRequest, Json, bulks, folded
from mixpanel_destination.events import IMPORT
from mixpanel_destination.limits import EVENTS_PER_REQUEST, PROFILES_PER_REQUEST, REQUEST_BYTES
from mixpanel_destination.profiles import ENGAGE, GROUPS


def pack_requests(requests: Iterable[HttpRequest]) -> list[HttpRequest]:
    """Pack a connection's requests into as few as Mixpanel allows."""
    kinds: dict[str, list[HttpRequest]] = defaultdict(list)
    for request in requests:
        kinds[request.url.rpartition("/")[2]].append(request)
    return [
        *_bulks(_fold(kinds[ENGAGE[1:]]), PROFILES_PER_REQUEST),
        *_bulks(_fold(kinds[GROUPS[1:]]), PROFILES_PER_REQUEST),
        *_bulks(kinds[IMPORT[1:]], EVENTS_PER_REQUEST),
    ]


def _bulks(requests: Sequence[HttpRequest], most: int) -> list[HttpRequest]:
    return bulks(requests, item=_record, body=list, most=most, most_bytes=REQUEST_BYTES)


def _record(request: HttpRequest) -> Json:
    return request.json[0]


def _fold(requests: Iterable[HttpRequest]) -> list[HttpRequest]:
    """Make one update of all those of a profile; property by property, the last wins."""
    profiles: dict[str | None, list[HttpRequest]] = defaultdict(list)
    for request in requests:
        profiles[request.state_key].append(request)
    return [group[0] if len(group) == 1 else _folded(group) for group in profiles.values()]


def _folded(group: Sequence[HttpRequest]) -> HttpRequest:
    properties: dict[str, Any] = {}
    for request in group:
        properties.update(_record(request)["$set"])
    return folded(group, [{**_record(group[-1]), "$set": properties}])
