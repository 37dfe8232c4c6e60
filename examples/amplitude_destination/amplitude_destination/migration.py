"""What other systems keep for their Amplitude destinations, as settings of this one.

Segment: a destination of its public API (`segmentio/action-destinations`, destinations/amplitude).
RudderStack: a destination of type AM (`rudderlabs/rudder-integrations-config`, destinations/am).
"""

from __future__ import annotations

from collections.abc import Mapping

from destination_router import Imported, Json

_EUROPE = {"segment": ("endpoint", "europe"), "rudderstack": ("residencyServer", "eu")}
"""By what setting each system chooses the European host."""


def import_from(system: str, config: Mapping[str, Json]) -> Imported:
    """Translate what a system exported.

    Raises:
        ValueError: it is not Amplitude's, or has no API key.
    """
    if system not in _EUROPE:
        raise ValueError(f"{system} is not known here")
    given = config.get("settings" if system == "segment" else "config") or {}
    _check_vendor(system, config)
    settings = renamed_settings(system, given)
    if not settings.get("apiKey"):
        raise ValueError("it has no apiKey")
    kept: dict[str, Json] = {
        name: settings[name] for name in ("apiKey", "region", "minIdLength") if name in settings
    }
    known = {"apiKey", _EUROPE[system][0]}
    lost = [
        f"setting {name}: unknown here"
        for name, value in given.items()
        if name not in known and value not in (None, "", [], {}, False)
    ]
    lost += ["its subscriptions and their mappings"] if config.get("subscriptions") else []
    return Imported(settings=kept, lost=tuple(lost))


def renamed_settings(system: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """Read a configuration as settings.

    RudderStack tells Amplitude to take ids of any length.
    """
    settings = dict(config)
    name, europe = _EUROPE[system]
    residency = settings.pop(name, None)
    if "region" not in settings and isinstance(residency, str):
        settings["region"] = "EU" if residency.strip().casefold() == europe else "US"
    if system == "rudderstack":
        settings.setdefault("minIdLength", 1)
    return settings


def _check_vendor(system: str, config: Mapping[str, Json]) -> None:
    if system == "segment":
        metadata = config.get("metadata") or {}
        name = str(metadata.get("slug") or metadata.get("name") or "amplitude")
        is_amplitudes = "amplitude" in name.casefold()
    else:
        definition = config.get("destinationDefinition") or {}
        is_amplitudes = str(definition.get("name", "")).casefold() == "am"
    if not is_amplitudes:
        raise ValueError("it is not Amplitude's")
