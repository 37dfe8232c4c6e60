"""What a message's context says of device, place and campaign, as Amplitude's fields."""

from __future__ import annotations

from collections.abc import Mapping

from amplitude_destination.limits import TEXT_CHARACTERS
from destination_router import Json, Message

_INTEGER = 2**63
_PLATFORMS = {"ios": "iOS", "android": "Android"}


def surroundings(message: Message) -> dict[str, Json]:
    """Read an event's fields from the context.

    Amplitude resets the rest of a set when one field of it is sent (platform, os, device, carrier;
    country, region, city, dma). So the fields of a device go together, and only for an event that
    tells of its device; for all others Amplitude reads the user agent. A place is never sent:
    Amplitude finds it by the `ip`, which is the sender's word and never the router's own address.
    """
    context = message.context
    fields = {
        "app_version": _text(context, "app", "version"),
        "language": _text(context, "locale"),
        "ip": _text(context, "ip"),
        "user_agent": _text(context, "userAgent"),
        **_device(context),
        **_coordinates(context),
    }
    if fields["ip"] == "$remote":  # it would stand for the router's address
        fields["ip"] = None
    return {name: value for name, value in fields.items() if value is not None}


def campaign(message: Message) -> dict[str, str]:
    """Read the campaign that brought the user, as `utm_*`; `name` is `utm_campaign`.

    A number becomes text, so that a property has one type.
    """
    given = message.context.get("campaign")
    if not isinstance(given, dict):
        return {}
    plain = {name: str(v) if type(v) in (int, float) else v for name, v in given.items()}
    texts = {name: _text(plain, name) for name in plain}
    return {
        f"utm_{'campaign' if name == 'name' else name}": text
        for name, text in texts.items()
        if text is not None
    }


def current_group(message: Message) -> str | None:
    """Read the group in which the user is at work: SDKs remember the last group call."""
    given = message.context.get("groupId")
    text = str(given) if type(given) is int and abs(given) < _INTEGER else given
    return text if isinstance(text, str) and 0 < len(text.strip()) <= TEXT_CHARACTERS else None


def _device(context: Mapping[str, Json]) -> dict[str, str | None]:
    model, system = _text(context, "device", "model"), _text(context, "os", "name")
    if model is None or system is None:
        return {}
    kind = _text(context, "device", "type") or system
    return {
        "platform": _PLATFORMS.get(kind.casefold(), kind),
        "os_name": system,
        "os_version": _text(context, "os", "version"),
        "device_brand": _text(context, "device", "brand"),
        "device_manufacturer": _text(context, "device", "manufacturer"),
        "device_model": model,
        "carrier": _text(context, "network", "carrier"),
    }


def _coordinates(context: Mapping[str, Json]) -> dict[str, Json]:
    place = context.get("location")
    if not isinstance(place, dict):
        return {}
    both = place.get("latitude"), place.get("longitude")
    if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in both):
        return {}
    return dict(zip(("location_lat", "location_lng"), both, strict=True))


def _text(value: Json, *path: str) -> str | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value[:TEXT_CHARACTERS] if isinstance(value, str) and value.strip() else None
