"""Amplitude's documented rate limits; `endpoints.py` says what each request takes from them.

Limits of a plan (requests a second on Starter) are not among them: whoever has that plan gets a
429, and the host waits.
"""

from __future__ import annotations

from amplitude_destination.limits import MAPPINGS_PER_PROJECT, UPDATES_PER_USER
from amplitude_destination.settings import AmplitudeSettings
from destination_router import Quota


def quotas_of(settings: AmplitudeSettings) -> list[Quota]:
    """List the limits of the API that the events go to, and of the others."""
    per_second = settings.api.per_second
    return [
        Quota(name="events_per_user", limit=per_second, period=1.0, unit="events", scope="user"),
        Quota(name="events_per_device", limit=per_second, period=1.0, unit="events", scope="user"),
        Quota(
            name="updates_per_user",
            limit=UPDATES_PER_USER[0],
            period=UPDATES_PER_USER[1],
            unit="events",
            scope="user",
        ),
        Quota(
            name="mappings_per_project",
            limit=MAPPINGS_PER_PROJECT[0],
            period=MAPPINGS_PER_PROJECT[1],
            unit="events",
        ),
    ]
