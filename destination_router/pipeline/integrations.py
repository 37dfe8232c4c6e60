"""Decides by a message's `integrations` whether its sender wants it to reach a destination.

The rules for each kind of value are rudder-server's (`FilterClientIntegrations`), with two
exceptions. Names are compared in any casing, because rudder-server's exact comparison is a known
trap. An empty list counts as an empty object, and null as absent, whereas rudder-server would send
to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.contract.messages import Message
from destination_router.contract.records import Json
from destination_router.pipeline.normalise import kind_of

_NOBODY = {"All": False}


def refusal(message: Message, names: Sequence[str]) -> str | None:
    """Say why `integrations` keeps a message from a destination; None if it does not.

    `All` decides, and is true if it is missing. The destination's own key takes precedence: true or
    false is obeyed, an object lets the message through even if `All` is false, and anything else
    leaves the decision to `All`. An `All` that is not a boolean keeps the message from everyone.

    Args:
        message: the message.
        names: the destination's names, the most specific first.
    """
    said = message.integrations
    if says_nothing(said):
        return None
    by_name = {name.casefold(): (name, item) for name, item in message.integrations.items()}
    everyone = by_name.get("all", ("All", True))[1]
    if said == _NOBODY and not isinstance(given := message.as_sent("integrations"), dict):
        return f"integrations is {kind_of(given)}, and has to be an object"
    if not isinstance(everyone, bool):
        return f"integrations.All is {kind_of(everyone)}, neither true nor false"
    key, own = _own_value(by_name, names)
    if isinstance(own, dict) or own is True:
        return None
    if own is False:
        return f"integrations.{key} is false"
    return None if everyone else "integrations.All is false"


def says_nothing(said: dict[str, Json]) -> bool:
    """Whether `integrations` are absent or what every SDK writes unasked: both mean everyone."""
    return not said or (len(said) == 1 and said.get("All") is True)


def _own_value(by_name: dict[str, tuple[str, Json]], names: Sequence[str]) -> tuple[str, Json]:
    """Find the most specific key with a value that counts."""
    for name in names:
        key, value = by_name.get(name.casefold(), ("", None))
        if isinstance(value, (bool, dict)):
            return key, value
    return "", None
