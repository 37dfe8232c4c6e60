"""The six calls of a customer data platform, as typed messages.

They are decoded straight from the wire (camelCase) into frozen structs (snake_case); `normalise`
makes sure of what each field holds, so that a destination never has to check. Field meanings:
RudderStack's event specification, which Segment's shares.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import msgspec

from destination_router.model import Reject

_NO_CONTEXT = msgspec.Raw(b"{}")


class _ContextTraits(msgspec.Struct):
    """Only the traits of a context: the decoder skips everything else."""

    traits: dict[str, Any] | None = None


_decode_context = msgspec.json.Decoder(dict[str, Any]).decode
_decode_context_traits = msgspec.json.Decoder(_ContextTraits).decode


class _Message(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", rename="camel", dict=True
):
    """What all six calls have in common.

    Attributes:
        message_id: always present; a repeat of a message carries the same one.
        user_id: trimmed, or None.
        anonymous_id: trimmed, or None.
        timestamp: when it happened, as the sender wrote it; a valid time (`parse_time`) or None.
        original_timestamp: the sender's clock, uncorrected; a valid time or None.
        sent_at: when the sender sent it, as given.
        received_at: when the gateway took it, as given.
        channel: `server`, `web`, `mobile` or what the sender wrote.
        integrations: which destinations it is for, and what it says to each (`options`).
    """

    message_id: str
    user_id: str | None = None
    anonymous_id: str | None = None
    timestamp: str | None = None
    original_timestamp: str | None = None
    sent_at: str | None = None
    received_at: str | None = None
    channel: str | None = None
    integrations: dict[str, Any] = {}
    context_json: msgspec.Raw = msgspec.field(default=_NO_CONTEXT, name="context")

    @cached_property
    def context(self) -> dict[str, Any]:
        """The message's context; decoded when first asked for, since few destinations ask.

        Raises:
            Reject: `too_deep` or `invalid_json`, where it is nested beyond what can be decoded or
                holds a number beyond all that a number can be.
        """
        try:
            return _decode_context(self.context_json)
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON", "context") from None
        except msgspec.DecodeError:  # `normalise` has seen to everything but the numbers
            raise Reject("invalid_json", "a number is too large", "context") from None

    @cached_property
    def context_traits(self) -> dict[str, Any]:
        """The user's traits that ride in `context.traits`; without decoding the rest of it."""
        try:
            return _decode_context_traits(self.context_json).traits or {}
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON", "context") from None

    def options(self, *names: str) -> dict[str, Any]:
        """What the message says to one destination: the object at `integrations.<name>`.

        Args:
            names: what the destination is called, in any casing; the first name with an object
                counts.
        """
        if dict not in map(type, self.integrations.values()):
            return {}
        by_name = {name.casefold(): value for name, value in self.integrations.items()}
        for name in names:
            value = by_name.get(name.casefold())
            if isinstance(value, dict):
                return value
        return {}

    @property
    def user_keys(self) -> tuple[str, ...]:
        """Whose order the message belongs to: its userId and anonymousId, or itself alone.

        A message that carries both ids comes after what either sent before. The first is the
        `user_key` of its requests.
        """
        if self.user_id and self.anonymous_id:
            return (self.user_id, self.anonymous_id)
        return (self.user_id or self.anonymous_id or self.message_id,)


class Identify(_Message, frozen=True, kw_only=True, tag="identify"):
    """Who a user is. `traits` falls back to `context.traits`, where RudderStack's SDKs put them."""

    traits: dict[str, Any] = {}


class Track(_Message, frozen=True, kw_only=True, tag="track"):
    """What a user did. `event` is None where the sender left it out."""

    event: str | None = None
    properties: dict[str, Any] = {}


class Page(_Message, frozen=True, kw_only=True, tag="page"):
    """A page that a user saw."""

    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] = {}


class Screen(_Message, frozen=True, kw_only=True, tag="screen"):
    """A screen of an app that a user saw."""

    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] = {}


class Group(_Message, frozen=True, kw_only=True, tag="group"):
    """The account that a user belongs to, and the account's traits."""

    group_id: str | None = None
    traits: dict[str, Any] = {}


class Alias(_Message, frozen=True, kw_only=True, tag="alias"):
    """Two ids of one user: from now on `previous_id` is `user_id`."""

    previous_id: str | None = None


Message: TypeAlias = Identify | Track | Page | Screen | Group | Alias

MESSAGE_TYPES: dict[str, type[Message]] = {
    "identify": Identify,
    "track": Track,
    "page": Page,
    "screen": Screen,
    "group": Group,
    "alias": Alias,
}
