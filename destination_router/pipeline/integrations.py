"""Whether the sender wants a message to reach a destination: the message's `integrations`.

The rules for each kind of value are rudder-server's (`FilterClientIntegrations`), with two
exceptions. Names are compared in any casing: rudder-server's exact comparison is a known trap. An
empty list is an empty object and null is absent, where rudder-server would send to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.contract.messages import Message
from destination_router.contract.records import Json
from destination_router.pipeline.normalise import kind_of

_NOBODY = {"All": False}


def refusal(message: Message, names: Sequence[str]) -> str | None:
    """Say why `integrations` keeps a message from a destination, or None if it does not.

    `All` decides, and is true where it is missing. A key of the destination's own comes before
    it: true or false is obeyed, an object takes part even where `All` is false, anything else
    leaves the decision to `All`. An `All` that is not a boolean keeps the message from everyone.

    Args:
        message: the message.
        names: what the destination may be called, the most specific first.
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
    """Tell the `integrations` that every SDK writes unasked, and none at all: for everyone."""
    return not said or (len(said) == 1 and said.get("All") is True)


def _own_value(by_name: dict[str, tuple[str, Json]], names: Sequence[str]) -> tuple[str, Json]:
    """Find the most specific key that says something."""
    for name in names:
        key, value = by_name.get(name.casefold(), ("", None))
        if isinstance(value, (bool, dict)):
            return key, value
    return "", None
