"""Reads the options that every destination of a RudderStack workspace may have.

Names and values are those of `rudderlabs/rudder-integrations-config`. An option has one value, or
one for each kind of source: `{"web": "device", "android": "cloud"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from destination_router.contract.records import Json

_BROWSERS = "web"
_IN_DEVICE_MODE: tuple[Json, ...] = (True, "device", "hybrid")
_MODES = ("connectionMode", "useNativeSDK")
_FILTER = "eventFilteringOption"
_LISTS = ("whitelistedEvents", "blacklistedEvents")


class Options(msgspec.Struct, frozen=True):
    """The options of a configuration.

    Attributes:
        config: the rest of the configuration, which belongs to the vendor.
        client_side: whether browsers load the destination by themselves.
        consent: what people must allow, as a connection's `consent` has it.
        lost: a sentence for each thing that cannot be carried over.
    """

    config: dict[str, Any]
    client_side: bool = False
    lost: tuple[str, ...] = ()
    consent: tuple[dict[str, Json], ...] = ()


def read_options(config: Mapping[str, Json]) -> Options:
    """Separate the options from the rest of a configuration."""
    own = {*_MODES, _FILTER, *_LISTS, *_CONSENT}
    devices = sorted({where for name in _MODES for where in _devices(config.get(name))})
    lost = []
    apps = [where for where in devices if where != _BROWSERS]
    if apps:
        lost.append(
            f"device mode of {', '.join(apps)}: only browsers load a destination by themselves "
            "here; these events go through the router"
        )
    if config.get(_FILTER) in _LISTS:
        lost.append(
            f"its {config[_FILTER]}: RudderStack's SDKs filter by them in device mode alone; "
            "what shall not go out, a subscription leaves out"
        )
    consent, differing = _consent(config)
    if differing:
        lost.append(
            f"{', '.join(differing)}: differs by the kind of source; here it holds for all of them"
        )
    return Options(
        {name: value for name, value in config.items() if name not in own},
        _BROWSERS in devices,
        tuple(lost),
        tuple(consent),
    )


def _consent(config: Mapping[str, Json]) -> tuple[list[dict[str, Json]], list[str]]:
    """Read the options of consent, and find those that differ by the kind of source."""
    rules: list[dict[str, Json]] = []
    differing = []
    for name, read in _CONSENT.items():
        value = config.get(name)
        forms = list(value.values()) if isinstance(value, dict) else [value]
        read_forms = [read(form) for form in forms if isinstance(form, list)]
        said = [form for form in read_forms if form]
        if said and any(form != said[0] for form in said[1:]):
            differing.append(name)
        rules += [rule for form in said for rule in form if rule not in rules]
    return rules, differing


def _generic_rules(form: list[Json]) -> list[dict[str, Json]]:
    rules: list[dict[str, Json]] = []
    for entry in form:
        if not isinstance(entry, dict) or not entry.get("provider"):
            continue
        if categories := _texts(entry.get("consents"), "consent"):
            rule = {"provider": str(entry["provider"]), "categories": categories}
            ways = {"resolution": "or"} if entry.get("resolutionStrategy") == "or" else {}
            rules.append({**rule, **ways})
    return rules


def _legacy_rule(provider: str, key: str, resolution: str) -> Callable[[list[Json]], list[Json]]:
    def read(form: list[Json]) -> list[Json]:
        categories = _texts(form, key)
        rule = {"provider": provider, "categories": categories, "resolution": resolution}
        return [{**rule, "legacy": True}] if categories else []

    return read


_CONSENT: dict[str, Callable[[list[Json]], list[Json]]] = {
    "consentManagement": _generic_rules,
    "oneTrustCookieCategories": _legacy_rule("oneTrust", "oneTrustCookieCategory", "and"),
    "ketchConsentPurposes": _legacy_rule("ketch", "purpose", "or"),
}
"""Each option about consent, with the reader of its form for one source."""


def _texts(entries: Json, key: str) -> list[str]:
    found = (
        [e.get(key) for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    )
    return [text for text in found if isinstance(text, str) and text.strip()]


def _devices(value: Json) -> list[str]:
    """List the kinds of source in device mode. A single value is the one for browsers."""
    by_source = value if isinstance(value, dict) else {_BROWSERS: value}
    return [str(where) for where, mode in by_source.items() if mode in _IN_DEVICE_MODE]
