"""How each system that Heap's users come from maps a message to Heap, as a record of options.

The mapping (`calls.py` and what it calls) reads the options. Only this table knows a dialect's
name. A dialect has the whole behaviour of its system, with its faults, so that you see the same
requests as before when you move here. Sources:

- `heap`: https://developers.heap.io/reference, and where that is silent, docs/heap.md.
- `segment`: `segmentio/action-destinations`, packages/destination-actions/src/destinations/heap
  (Heap Cloud (Actions)); Syft's Heap destination lists the same fields.
- `segment-cloud`: Heap Cloud, Segment's rewrite of 2026, in the same repository; the package on npm
  does not have it yet, so no test compares with it.
- `rudderstack`: `rudderlabs/rudder-transformer`, src/cdk/v2/destinations/heap.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, TypeAlias

import msgspec

Nested: TypeAlias = Literal["flatten", "stringify", "drop"]
NESTED: tuple[Nested, ...] = ("flatten", "stringify", "drop")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a system other than Heap flattens properties.

    Attributes:
        arrays: how an index becomes part of the key: `indices` (`m.0`) or `brackets` (`m[0]`).
        leaves: numbers, booleans and nulls: `text` (as JavaScript writes them) or `kept`.
        empty: whether an empty object or array is `dropped` or `kept`.
        without: keys that are left out.
    """

    arrays: Literal["indices", "brackets"]
    leaves: Literal["text", "kept"]
    empty: Literal["dropped", "kept"] = "dropped"
    without: tuple[str, ...] = ()


class Dialect(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The whole behaviour of one system, as options.

    Attributes:
        subscription: the messages that it takes, in FQL.
        calls: those of the six that it can map. It rejects the others.
        settings: the settings that it reads beside `appId`, `region` and `dialect`.
        event_identity: fields that may hold an event's identity; the first usable value counts.
        user_identity: the same for an identify.
        unusable: values that are no identity: `unsafe` ones (the firewall), `zero` (blank, `0`),
            or `falsy` in JavaScript's sense.
        loose: what is made of an id, or of an event's name, that is not plain text: `mended` as the
            router promises, `text` as JavaScript writes it, blanks and all, `trimmed` as
            JavaScript trims, or `kept`.
        checks: by call and kind, which fields Segment's framework checks; nothing is checked in a
            system that takes what it finds.
        exact_type: whether the call must be spelt in lower case.
        batches: whether an event of a batch (`channel` is `sources`) has its time in its
            properties.
        names: other names for it in its senders' `integrations`, beside those of every dialect.
        identifiers: the names under which an event of the partner API may go out.
        identifier_choice: the `first` of them that is there, or `all`.
        anonymous: whether the setting `anonymousEvents` decides on events without an identity.
        event_api: `documented` (`/api/track`) or `partner` (`/api/integrations/track`).
        user_api: `documented` (`/api/add_user_properties`) or `partner`.
        event_profile: whether an event first updates its user: if there are `traits`; if there
            are traits or an `anonymous_id`; or `never`.
        traits_need_identity: whether an event with traits and no identity is rejected.
        user_traits: whether an identify may have any traits (`any`), must have the field
            (`given`) or must have some (`some`).
        profile_anonymous_id: whether the anonymousId is among an identify's properties, and where.
        event_names: which calls beside track are events, and what Heap calls them; None:
            `event_fallback`.
        event_fallback: the name of an event whose name is empty; rejected if None.
        named: fields of the message that go out as properties.
        constants: properties that every event carries, first.
        event_shape: of an event's properties; None: as Heap documents, within its limits and away
            from the names it reserves.
        user_shape: of a user's; the same.
        time: `utc` (ISO 8601 in UTC with milliseconds), `javascript` (the same, of what JavaScript
            reads) or `given` (as the sender wrote it).
        time_fields: the fields that may hold it.
        key: where the idempotency key comes from: the `message`'s id, or the property
            `idempotencyKey` (`property`).
        empty_integrations: whether an `integrations` that is an empty list or null, which stand
            for an empty object, keeps a message from `nobody` or from `everyone`.
        headers: in addition to those of the host.
        orders: the order of keys in bodies, if it differs from Heap's documentation.
    """

    subscription: str
    calls: frozenset[str]
    settings: frozenset[str] = frozenset()
    event_identity: tuple[str, ...]
    user_identity: tuple[str, ...]
    unusable: Literal["unsafe", "zero", "falsy"]
    loose: Literal["mended", "text", "trimmed", "kept"] = "mended"
    checks: dict[str, dict[str, tuple[str, ...]]] = {}
    exact_type: bool = False
    batches: bool = False
    names: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    identifier_choice: Literal["first", "all"] = "first"
    anonymous: bool = False
    event_api: Literal["documented", "partner"]
    user_api: Literal["documented", "partner"] = "documented"
    event_profile: Literal["traits", "traits or anonymous_id", "never"]
    traits_need_identity: bool = False
    user_traits: Literal["any", "given", "some"] = "any"
    profile_anonymous_id: Literal["first", "last", "never"]
    event_names: dict[str, str | None]
    event_fallback: str | None = None
    named: tuple[str, ...] = ()
    constants: dict[str, str] = {}
    event_shape: Shape | None
    user_shape: Shape | None
    time: Literal["utc", "javascript", "given"]
    time_fields: tuple[str, ...] = ("timestamp",)
    key: Literal["message", "property"] = "message"
    empty_integrations: Literal["nobody", "everyone"] = "nobody"
    headers: dict[str, str] = {}
    orders: dict[str, tuple[str, ...]] = {}

    @cached_property
    def takes_all(self) -> bool:
        """Whether it takes every call, whatever its type, its fields' types and `integrations`."""
        return (
            self.calls.issuperset(_ALL_CALLS)
            and not self.exact_type
            and not self.checks
            and self.empty_integrations == "nobody"
        )

    @cached_property
    def has_plain_users(self) -> bool:
        """Whether `plain.py` may decide on an identify: the dialect asks no more than that."""
        return (
            self.takes_all
            and self.unusable == "unsafe"
            and self.loose == "mended"
            and "userId" in self.user_identity
            and self.user_traits == "any"
        )

    @cached_property
    def has_plain_tracks(self) -> bool:
        """Whether `plain.py` may decide on a track: the dialect asks no more than that."""
        return (
            self.takes_all
            and self.unusable == "unsafe"
            and self.loose == "mended"
            and "userId" in self.event_identity
            and "traits.id" not in self.event_identity
            and self.event_api == "documented"
            and self.event_profile == "traits"
            and self.event_shape is None
            and (self.time, self.time_fields[0]) == ("utc", "timestamp")
            and self.key == "message"
        )


_ALL_CALLS = ("identify", "track", "page", "screen", "group", "alias")
_VIEWS: dict[str, str | None] = {"page": "Page viewed", "screen": "Screen viewed"}
_SEGMENT_SUBSCRIPTION = 'type = "track" or type = "page" or type = "screen" or type = "identify"'
_SEGMENT_LIBRARY = {"segment_library": "cloud-mode-destination"}
_SEGMENT_NAMES = ("Heap Cloud (Actions)", "Heap Cloud")
_SEGMENT_EVENT = {
    "text": ("event", "name"),
    "nullable": ("anonymousId",),
    "object": ("properties", "context.traits"),
    "time": ("timestamp",),
}
_CLOUD_EVENT = {
    **_SEGMENT_EVENT,
    "text": ("userId", "anonymousId", "event", "name"),
    "nullable": (),
}
_CLOUD_TRACK = {**_CLOUD_EVENT, "event": ("event",)}
_CLOUD_USER = {**_CLOUD_EVENT, "object": ("properties", "traits")}
_VIEWED = ("track", "page", "screen")
_TEXTS = Shape(arrays="indices", leaves="text")
_BRACKETS = Shape(arrays="brackets", leaves="kept", empty="kept", without=("idempotencyKey",))

_HEAP = Dialect(
    subscription=" or ".join(f'type = "{call}"' for call in _ALL_CALLS),
    calls=frozenset(_ALL_CALLS),
    settings=frozenset({"anonymousEvents", "accountIdProperty", "unsafeIdentities"}),
    event_identity=("option", "userId"),
    user_identity=("option", "userId"),
    unusable="unsafe",
    anonymous=True,
    event_api="documented",
    event_profile="traits",
    profile_anonymous_id="last",
    event_names=_VIEWS,
    named=("name", "category"),
    event_shape=None,
    user_shape=None,
    time="utc",
    time_fields=("timestamp", "originalTimestamp", "receivedAt"),
)

_SEGMENT = Dialect(
    subscription=_SEGMENT_SUBSCRIPTION,
    calls=frozenset(_ALL_CALLS),
    event_identity=(),
    user_identity=("userId",),
    unusable="zero",
    loose="text",
    checks={
        **dict.fromkeys((*_VIEWED, "group", "alias"), _SEGMENT_EVENT),
        "identify": {"nullable": ("userId", "anonymousId"), "object": ("traits",)},
    },
    names=_SEGMENT_NAMES,
    identifiers=("identity", "anonymous_id"),
    event_api="partner",
    event_profile="traits or anonymous_id",
    profile_anonymous_id="first",
    event_names={**_VIEWS, "group": None, "alias": None},
    event_fallback="track",
    named=("name",),
    constants=_SEGMENT_LIBRARY,
    event_shape=_TEXTS,
    user_shape=_TEXTS,
    time="javascript",
    orders={
        "identify": ("identity", "app_id", "properties"),
        "partner_track": ("app_id", "events", "library"),
        "partner_event": (
            "event",
            "custom_properties",
            "idempotency_key",
            "user_identifier",
            "timestamp",
        ),
    },
)

_SEGMENT_CLOUD = Dialect(
    subscription=_SEGMENT_SUBSCRIPTION,
    calls=frozenset(("identify", "track", "page", "screen")),
    settings=frozenset({"nested_properties_mode"}),
    event_identity=("userId",),
    user_identity=("userId",),
    unusable="falsy",
    loose="trimmed",
    checks={
        "track": _CLOUD_TRACK,
        **dict.fromkeys(_VIEWS, _CLOUD_EVENT),
        "identify": _CLOUD_USER,
    },
    names=_SEGMENT_NAMES,
    identifiers=("identity", "anonymous_id", "user_id", "email"),
    identifier_choice="all",
    event_api="partner",
    user_api="partner",
    event_profile="traits",
    traits_need_identity=True,
    user_traits="some",
    profile_anonymous_id="never",
    event_names=_VIEWS,
    event_fallback="track",
    named=("name",),
    constants=_SEGMENT_LIBRARY,
    event_shape=_TEXTS,
    user_shape=Shape(arrays="indices", leaves="kept"),
    time="given",
)

_RUDDERSTACK_IDENTITY = (
    "userId",
    "traits.userId",
    "traits.id",
    "context.traits.userId",
    "context.traits.id",
    "anonymousId",
)

_RUDDERSTACK = Dialect(
    subscription=" or ".join(f'type = "{call}"' for call in _ALL_CALLS),
    calls=frozenset(("identify", "track")),
    event_identity=_RUDDERSTACK_IDENTITY,
    user_identity=_RUDDERSTACK_IDENTITY,
    unusable="falsy",
    loose="kept",
    exact_type=True,
    batches=True,
    event_api="documented",
    event_profile="never",
    user_traits="given",
    profile_anonymous_id="never",
    event_names={},
    event_shape=_BRACKETS,
    user_shape=_BRACKETS,
    time="given",
    time_fields=("timestamp", "originalTimestamp"),
    key="property",
    empty_integrations="everyone",
    headers={"Accept": "application/json", "Content-Type": "application/json"},
    orders={
        "identify": ("identity", "properties", "app_id"),
        "track": ("identity", "properties", "app_id", "event", "timestamp", "idempotency_key"),
    },
)

DIALECTS: dict[str, Dialect] = {
    "heap": _HEAP,
    "segment": _SEGMENT,
    "syft": _SEGMENT,
    "segment-cloud": _SEGMENT_CLOUD,
    "rudderstack": _RUDDERSTACK,
}
"""Every dialect by its name. Syft's Heap destination is the same as Segment's."""

DEFAULT = "heap"
