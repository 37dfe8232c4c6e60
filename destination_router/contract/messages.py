"""The six calls of a customer data platform, as typed messages.

They are decoded straight from the wire (camelCase) into frozen structs (snake_case). `normalise`
makes sure that each field holds what is said here, so that a destination never has to check.
Fields mean what RudderStack's event specification says, which Segment's shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec
from msgspec.structs import force_setattr

from destination_router.contract.records import Reject


class ContextPart(msgspec.Struct, frozen=True, gc=False):
    """The part of a context that is decoded with its message. The decoder skips the rest.

    Attributes:
        traits: the user's traits in `context.traits`.
    """

    traits: dict[str, Any] | None = None


class _WithContext(msgspec.Struct):
    context: dict[str, Any] = {}


class _WithContextJson(msgspec.Struct):
    context: msgspec.Raw = msgspec.Raw(b"{}")


_NO_CONTEXT = ContextPart()
_EVERYONE = {"All": True}  # as every SDK writes unasked
_MISSING: Any = msgspec.UNSET
_decode_wire = msgspec.json.Decoder(dict[str, Any]).decode
_decode_context = msgspec.json.Decoder(_WithContext).decode
_decode_context_json = msgspec.json.Decoder(_WithContextJson).decode


class _Message(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", rename="camel", dict=True
):
    """What all six calls have in common.

    Attributes:
        message_id: the message's id. It is always there. A repeat of a message has the same one.
        user_id: the user's id without blanks around it, or None.
        anonymous_id: the device's id without blanks around it, or None.
        timestamp: when it happened, as the sender wrote it: a valid time (`parse_time`) or None.
        original_timestamp: the time of the sender's own clock: a valid time or None.
        sent_at: when the sender sent it, as given.
        received_at: when the gateway took it, as given.
        channel: `server`, `web`, `mobile`, or what the sender wrote.
        integrations: which destinations get the message, with options for them (`options`).
        context_part: the part of the context that is decoded at once. See `context`.
        mapped: the values that the connection's mapping gave. Keys are the parts that the mapping
            overrides (`properties`, `context.traits`), and the names of fields that are no part of
            the message (`identity`). A field whose mapping gave nothing is None. Empty if the
            connection overrides nothing.
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
    context_part: ContextPart = msgspec.field(default=_NO_CONTEXT, name="context")
    mapped: ClassVar[dict[str, Any]] = {}  # `with_mapped`; a property costs seven times as much

    @cached_property
    def context(self) -> dict[str, Any]:
        """The message's context. It is decoded when you first ask for it.

        Raises:
            Reject: `too_deep` if the context is nested too deeply to be decoded, or `invalid_json`
                if it holds a number that is too large.
        """
        context = self._own_context()
        if "context.traits" in self.mapped:
            context = {**context, "traits": self.mapped["context.traits"]}
        return context

    def _own_context(self) -> dict[str, Any]:
        """The context, whatever the connection's mapping says."""
        kept = self.__dict__
        given: dict[str, Any] | None = kept.get("_context")
        if given is not None:
            return given
        if "_raw" not in kept:
            traits = self.context_part.traits
            return {} if traits is None else {"traits": traits}
        try:
            return _decode_context(wire_json(self)).context
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON", "context") from None
        except msgspec.DecodeError:  # `normalise` has seen to everything but the numbers
            raise Reject("invalid_json", "a number is too large", "context") from None

    @property
    def context_json(self) -> msgspec.Raw:
        """The context as JSON, without the connection's mapping, as it came if possible."""
        kept = self.__dict__
        if "_context" in kept or "_raw" not in kept:
            return msgspec.Raw(msgspec.json.encode(self._own_context()))
        return _decode_context_json(wire_json(self)).context

    @property
    def context_traits(self) -> dict[str, Any]:
        """The user's traits in `context.traits`. The rest of the context is not decoded.

        If the destination asks for them neither here nor by `to_dict`, the host adds a note that
        they are dropped.
        """
        own = self.__dict__
        own["_asked_traits"] = True
        kept: dict[str, Any] | None = own.get("context_traits")
        return self.context_part.traits or {} if kept is None else kept

    @cached_property
    def wire(self) -> dict[str, Any]:
        """The whole message as it came. It is decoded when you first ask for it.

        It has the changes of transformations, and not those of a mapping. To send the whole
        message to a vendor, use `to_dict`. Empty for a message that was not made from JSON.

        Raises:
            Reject: as `context`.
        """
        kept = self.__dict__
        try:
            return {**_decode_wire(wire_json(self)), **kept.get("_rewritten", {})}
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON") from None
        except msgspec.DecodeError:  # `normalise` has seen to everything but the numbers
            raise Reject("invalid_json", "a number is too large") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the whole message as a JSON object, for a vendor that wants all of it.

        It has the values of the message's fields, and the other fields at the root as the sender
        wrote them. A field without a value is left out.

        Raises:
            Reject: as `context`.
        """
        self.__dict__["_asked"] = None
        whole = dict(self.wire)
        for name, own in zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True):
            value = self.context if name == "context" else getattr(self, own)
            if value is None or (value == {} and name not in whole):
                whole.pop(name, None)
            else:
                whole[name] = value
        if "traits" not in self.wire and whole.get("traits") == self.context_traits:
            whole.pop("traits", None)  # an identify's, which stand in its context
        return whole | {"type": self.__struct_config__.tag}

    def other(self, name: str, default: Any = None) -> Any:
        """Return a field at the root that the call does not define: `email`, a track's `name`.

        A value of the connection's mapping comes before the sender's. If the destination asks for
        such a field neither here nor by `to_dict`, the host adds a note that it is dropped.
        """
        self._ask_for(name)
        value = self.mapped.get(name, _MISSING)
        return self.wire.get(name, default) if value is _MISSING else value

    def _ask_for(self, name: str) -> None:
        asked: set[str] | None = self.__dict__.get("_asked", _NOTHING_ASKED)
        if asked is not None:
            self.__dict__["_asked"] = {*asked, name}

    def as_sent(self, name: str) -> Any:
        """Return a field as its sender wrote it, before it was made well-formed.

        Examples are an id with blanks around it, a number in place of text, and a `timestamp` that
        is not a time. A destination needs it if it has to equal a system that passes these on. For
        a field that a mapping gave, it is the mapping's value. A step that changes the field
        changes this, too.

        Args:
            name: the field, spelt as on the wire (`userId`, `type`, `context.traits`), or the name
                of a field that only a mapping gives.
        """
        field = _FIELD_NAMES.get(name)
        if field is not None:
            value = getattr(self, field, None)
        elif name == "type":
            value = self.__struct_config__.tag
        else:
            value = self.context_traits if name == "context.traits" else self.mapped.get(name)
        mended: dict[str, tuple[Any, Any]] = self.__dict__.get("_mended", _NOTHING_MENDED)
        if name not in mended:
            return value
        before, after = mended[name]
        return before if after == value else value

    def options(self, *names: str) -> dict[str, Any]:
        """Return the message's options for one destination: the object at `integrations.<name>`.

        Args:
            names: the names of the destination, in any casing. The first name with an object
                counts.
        """
        said = self.integrations
        if said == _EVERYONE or dict not in map(type, said.values()):
            return {}
        by_name = {name.casefold(): value for name, value in said.items()}
        for name in names:
            value = by_name.get(name.casefold())
            if isinstance(value, dict):
                return value
        return {}

    @property
    def user_keys(self) -> tuple[str, ...]:
        """The users whose order the message keeps: its userId and anonymousId.

        If it has neither, it is its messageId. A message with both ids comes after everything that
        either of them sent before. The first is the `user_key` of its requests.
        """
        return order_keys(self.message_id, self.user_id, self.anonymous_id)


def order_keys(message_id: str, user_id: str | None, anonymous_id: str | None) -> tuple[str, ...]:
    """Give the `user_keys` of a message with these ids."""
    if user_id and anonymous_id:
        return (user_id, anonymous_id)
    return (user_id or anonymous_id or message_id,)


_NOTHING_MENDED: dict[str, Any] = {}
_NOTHING_ASKED: set[str] = set()


class AbsentTraits(dict[str, Any]):
    """The traits of an identify whose sender wrote none, not even an empty object."""


class Identify(_Message, frozen=True, kw_only=True, tag="identify"):
    """Who a user is.

    Attributes:
        traits: what is known of the user. If there are none, those of `context.traits`, where
            RudderStack's SDKs put them.
    """

    traits: dict[str, Any] = msgspec.field(default_factory=AbsentTraits)


class Track(_Message, frozen=True, kw_only=True, tag="track"):
    """What a user did.

    Attributes:
        event: the event's name, or None if the sender gave none.
        properties: what the sender says of the event.
    """

    event: str | None = None
    properties: dict[str, Any] = {}


class Page(_Message, frozen=True, kw_only=True, tag="page"):
    """A page that a user saw.

    Attributes:
        name: the page's name, or None if the sender gave none.
        category: the page's category, or None if the sender gave none.
        properties: what the sender says of the page: its URL, its title.
    """

    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] = {}


class Screen(_Message, frozen=True, kw_only=True, tag="screen"):
    """A screen of an app that a user saw.

    Attributes:
        name: the screen's name, or None if the sender gave none.
        category: the screen's category, or None if the sender gave none.
        properties: what the sender says of the screen.
    """

    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] = {}


class Group(_Message, frozen=True, kw_only=True, tag="group"):
    """The account that a user belongs to.

    Attributes:
        group_id: the account's id without blanks around it, or None.
        traits: what is known of the account.
    """

    group_id: str | None = None
    traits: dict[str, Any] = {}


class Alias(_Message, frozen=True, kw_only=True, tag="alias"):
    """Two ids of one user: from now on, `previous_id` is `user_id`.

    Attributes:
        previous_id: the id that the user had before, without blanks around it, or None.
    """

    previous_id: str | None = None


Message: TypeAlias = Identify | Track | Page | Screen | Group | Alias
"""Any of the six calls. All of them have the fields and methods below."""

MESSAGE_TYPES: dict[str, type[Message]] = {
    "identify": Identify,
    "track": Track,
    "page": Page,
    "screen": Screen,
    "group": Group,
    "alias": Alias,
}

_FIELD_NAMES = {
    field.encode_name: field.name
    for call in MESSAGE_TYPES.values()
    for field in msgspec.structs.fields(call)
}
"""The struct's name of each field, by the one on the wire."""

_M = TypeVar("_M", bound=_Message)

_ORIGIN = ("_raw", "wire", "_context", "_mended", "_known_root")

_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


_Raw: TypeAlias = bytes | tuple[Callable[[int], bytes], int]


def with_wire(message: _M, raw: _Raw) -> _M:
    """Let a fresh message remember the JSON that it was made from, or who finds it by a number."""
    # Python would make a larger dict, at twice the cost.
    force_setattr(message, "__dict__", {"_raw": raw})
    return message


def with_known_wire(message: _M, raw: _Raw) -> _M:
    """Do the same for a message with nothing at its root but what is known there."""
    force_setattr(message, "__dict__", {"_raw": raw, "_known_root": True})
    return message


def with_content(message: _M, content: dict[str, Any]) -> _M:
    """Let a message remember what its JSON was decoded to, before any of it was mended."""
    message.__dict__["wire"] = content
    return message


def wire_json(message: _Message) -> bytes:
    """Give the JSON that a message was decoded from; `{}` where it was made otherwise."""
    kept = message.__dict__
    raw: _Raw = kept.get("_raw", b"{}")
    if isinstance(raw, bytes):
        return raw
    find, number = raw
    found = kept["_raw"] = find(number)
    return found


def with_own_context(message: _M, context: dict[str, Any]) -> _M:
    """Give a fresh message its whole context, decoded; its `context_part` holds that one's."""
    message.__dict__["_context"] = context
    return message


def root_names(message: _Message) -> frozenset[str]:
    """Name the fields at a message's root as it came, without decoding them.

    Raises:
        Reject: as `wire`.
    """
    kept = message.__dict__
    if "wire" in kept or "_raw" not in kept:
        return frozenset(message.wire)
    try:
        return frozenset(_decode_names(wire_json(message)))
    except (RecursionError, msgspec.DecodeError):
        return frozenset(message.wire)


def forget_what_was_asked(message: _Message) -> None:
    """Begin anew to watch what is asked of a message: who read it before has no part in it."""
    kept = message.__dict__
    kept.pop("_asked", None)
    kept.pop("_asked_traits", None)


def unasked_names(message: _Message) -> list[str]:
    """Name what a message holds that its call does not define, and that nobody asked for.

    Those are fields at its root, without the envelope's and those that hold nothing; and
    `context.traits`, unless they are an identify's traits, or no more than an anonymousId.
    """
    kept = message.__dict__
    traits = message.context_part.traits
    if not traits and "_known_root" in kept and "wire" not in kept:
        return []  # as of nearly all
    asked = kept.get("_asked", ())
    if asked is None:
        return []
    if not traits or "_asked_traits" in kept or traits == getattr(message, "traits", None):
        left = []
    else:
        left = [] if traits.keys() == {"anonymousId"} else ["context.traits"]
    if "_known_root" in kept and "wire" not in kept:
        return left  # as of nearly all
    strange = root_names(message) - _KNOWN_AT_ROOT[type(message)]
    if not strange:
        return left
    try:
        root = message.wire
    except Reject:  # nobody else has looked at it: its fields are named, whatever they hold
        return left + sorted(name for name in strange if name not in asked and name[:1] != "_")
    return left + [
        name
        for name, value in root.items()
        if name in strange
        and name not in asked
        and not name.startswith("_")
        and value not in (None, "", {}, [])
        # Apps write a screen's name as its event, and `normalise` has found it there.
        and not (name == "event" and value == getattr(message, "name", None))
    ]


ENVELOPE = frozenset(
    ("type", "version", "writeKey", "projectId", "rudderId", "request_ip", "sourceId", "metadata")
)
"""What SDKs, gateways and exports write about a message, and nobody means for a vendor."""

_KNOWN_AT_ROOT: dict[type[_Message], frozenset[str]] = {
    call: ENVELOPE.union(field.encode_name for field in msgspec.structs.fields(call))
    for call in MESSAGE_TYPES.values()
}


def with_mended(message: _M, mended: dict[str, tuple[Any, Any]]) -> _M:
    """Let a message remember what was made of which fields: before and after, by wire name."""
    if mended:
        message.__dict__["_mended"] = {**message.__dict__.get("_mended", {}), **mended}
    return message


def revised(message: _M, **changes: Any) -> _M:
    """Copy a message with other values; the copy remembers the same wire form and mapping."""
    copy = msgspec.structs.replace(message, **changes)
    return _remembering(copy, message, (*_ORIGIN, "_rewritten", "mapped", "context_traits"))


def with_origin_of(copy: _M, message: _Message) -> _M:
    """Let a fresh message remember of another what that one was made from, and how."""
    return _remembering(copy, message, _ORIGIN)


def _remembering(copy: _M, message: _Message, names: Sequence[str]) -> _M:
    for name in names:
        if name in message.__dict__:
            copy.__dict__[name] = message.__dict__[name]
    return copy


def rewritten(message: _M, part: str, **changes: Any) -> _M:
    """Copy a message with another value for one part, in what it remembers of the wire too.

    Args:
        message: the message.
        part: the part's name on the wire: `userId`, `properties`.
        changes: the field and its value: `user_id=None`.
    """
    copy = revised(message, **changes)
    ((_, value),) = changes.items()
    kept = copy.__dict__
    kept["_rewritten"] = {**kept.get("_rewritten", {}), part: value}
    if kept.get("_mended"):
        kept["_mended"] = {
            name: was
            for name, was in kept["_mended"].items()
            if name != part and not name.startswith(f"{part}.")
        }
    if "wire" in kept:
        kept["wire"] = {**kept["wire"], part: value}
    return copy


def with_root(message: _M, name: str, value: Any) -> _M:
    """Copy a message with another value for a root field that its call does not define."""
    copy = revised(message)
    kept = copy.__dict__
    kept["_rewritten"] = {**kept.get("_rewritten", {}), name: value}
    if "wire" in kept:
        kept["wire"] = {**kept["wire"], name: value}
    return copy


def with_context(message: _M, context: dict[str, Any]) -> _M:
    """Copy a message with another context, decoded."""
    part = ContextPart(context.get("traits") or None)
    copy = with_own_context(rewritten(message, "context", context_part=part), context)
    kept = copy.__dict__
    kept["_rewritten"]["context"] = context
    if "wire" in kept:
        kept["wire"]["context"] = context
    return copy


def with_mapped(message: _M, values: dict[str, Any]) -> _M:
    """Give a fresh copy of a message what a mapping says beyond its fields."""
    message.__dict__["mapped"] = {**message.mapped, **values}
    if "context.traits" in values:
        message.__dict__["context_traits"] = values["context.traits"]
    return message
