"""What every destination of a RudderStack workspace may have set, whatever its vendor.

Names and values are those of `rudderlabs/rudder-integrations-config`. An option is one value, or
one for each kind of source: `{"web": "device", "android": "cloud"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from destination_router.contract.records import Json

_BROWSERS = "web"
_IN_DEVICE_MODE: tuple[Json, ...] = (True, "device", "hybrid")
_MODES = ("connectionMode", "useNativeSDK")
_FILTER = "eventFilteringOption"
_LISTS = ("whitelistedEvents", "blacklistedEvents")
_CONSENT = ("consentManagement", "oneTrustCookieCategories", "ketchConsentPurposes")


class Options(msgspec.Struct, frozen=True):
    """What a configuration says of them.

    Attributes:
        config: the rest of the configuration, which is the vendor's.
        client_side: whether browsers load the destination by themselves.
        lost: what cannot be carried over, a sentence each.
    """

    config: dict[str, Any]
    client_side: bool = False
    lost: tuple[str, ...] = ()


def read_options(config: Mapping[str, Json]) -> Options:
    """Take a configuration apart."""
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
    consents = [name for name in _CONSENT if _says_something(config.get(name))]
    if consents:
        lost.append(
            f"{', '.join(consents)}: rudder-server holds back by consent, nothing here does"
        )
    return Options(
        {name: value for name, value in config.items() if name not in own},
        _BROWSERS in devices,
        tuple(lost),
    )


def _devices(value: Json) -> list[str]:
    """List which kinds of source are in device mode; one value for all is that of browsers."""
    by_source = value if isinstance(value, dict) else {_BROWSERS: value}
    return [str(where) for where, mode in by_source.items() if mode in _IN_DEVICE_MODE]


def _says_something(value: Json) -> bool:
    """Whether there is any text in it: an option that is not used is saved as an empty form."""
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    if isinstance(value, list):
        return any(map(_says_something, value))
    return isinstance(value, str) and bool(value.strip())
