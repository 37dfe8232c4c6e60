"""HIPAA mode: decides what a connection may see. Default deny, with masked identifiers. Pure.

It does not clean a message, but builds a new one from what both allowlists let pass. So no
forgotten field
passes: not in `wire`, not in a context, and not in a field that no call defines. Notes count what
was left out and never name it, because a field's name can be personal, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from destination_router.contract.messages import (
    MESSAGE_TYPES,
    Alias,
    ContextPart,
    Group,
    Identify,
    Message,
    Page,
    Screen,
    Track,
    root_names,
    with_own_context,
)
from destination_router.contract.records import Note, Reject
from destination_router.contract.times import utc_text
from destination_router.pipeline.names import name_text
from destination_router.pipeline.privacy.allowlists import Allowlist, Rule, Tally
from destination_router.pipeline.privacy.masking import PLACEHOLDERS, MaskingKeys

CHANNELS = frozenset({"server", "web", "mobile", "sources"})
"""The channels that SDKs write. Any other text could be personal."""

DEFINED = frozenset(
    field.encode_name
    for message_type in MESSAGE_TYPES.values()
    for field in msgspec.structs.fields(message_type)
) | {"type"}
"""Fields at a message's root that some call defines. Each has its own rule."""

SEAL = frozenset({"_masked", "_takers"})
"""Our own fields at the root of a message that was masked before."""

_T = TypeVar("_T")


class Withheld(Exception):  # noqa: N818 -- no error: what the allowlists are for
    """The message may not pass at all. The text says why, and names nothing."""


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What both allowlists let pass.

    Attributes:
        events: names of track events.
        pages: names of pages; the empty one is that of a page without a name.
        screens: names of screens.
        properties: of the three.
        traits: of users, in `traits` and in `context.traits`.
        group_traits: of groups.
        context: but for the traits in it.
        integrations: of what a message says to this connection.
        root: fields at a message's root that no call defines.
    """

    events: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    screens: frozenset[str] = frozenset()
    properties: tuple[Rule, ...] = ()
    traits: tuple[Rule, ...] = ()
    group_traits: tuple[Rule, ...] = ()
    context: tuple[Rule, ...] = ()
    integrations: tuple[Rule, ...] = ()
    root: tuple[Rule, ...] = ()


class Privacy:
    """What a connection in HIPAA mode may see.

    Args:
        allowed: what passes.
        keys: the keys that mask identifiers.
        plugin: the name under which options for the connection are kept.
        names: the connection's names in senders' `integrations`.
    """

    def __init__(
        self, allowed: Allowed, keys: MaskingKeys, plugin: str, names: Iterable[str]
    ) -> None:
        self.allowed = allowed
        self.keys = keys
        self._named = named = (plugin, tuple(names))
        masked = tuple(
            Note("masked", name, f"with key v{keys.versions[0]}")
            for name in ("messageId", "userId", "anonymousId", "groupId", "previousId")
        )
        self._first = _Builder(
            allowed, _Masks(keys.mask, keys.mask_message_id, keys.mask), masked, *named
        )
        # A field that became an identifier since is masked now.
        self._again = _Builder(allowed, _Masks(_as_it_is, _as_it_is, keys.mask_once), (), *named)

    def also_called(self, names: Iterable[str]) -> Privacy:
        """Copy this for a connection with more names."""
        plugin, known = self._named
        return Privacy(self.allowed, self.keys, plugin, (*known, *names))

    def apply(self, message: Message) -> tuple[Message, tuple[Note, ...]]:
        """Build what the connection may see of a message.

        Raises:
            Withheld: its event, page or screen is not on both allowlists.
            Reject: it cannot be read to its end.
        """
        return self._first.build(message)

    def reapply(self, message: Message) -> tuple[Message, tuple[Note, ...]]:
        """Apply today's lists to a message that was built before. Masked ids stay as they are.

        Raises:
            Withheld: as `apply`.
            Reject: as `apply`.
        """
        return self._again.build(message)


class _Masks(NamedTuple):
    """Masks a message's own ids, its `messageId`, and listed identifiers."""

    own: Callable[[str], str]
    message_id: Callable[[str], str]
    listed: Callable[[str], str]


class _Builder:
    """Builds messages, with identifiers masked by `masks`."""

    def __init__(
        self,
        allowed: Allowed,
        masks: _Masks,
        masked: tuple[Note, ...],
        plugin: str,
        names: tuple[str, ...],
    ) -> None:
        self._allowed = allowed
        self._mask = masks.own
        self._mask_message_id = masks.message_id
        self._masked = {note.path: note for note in masked}
        self._seal = frozenset[str]() if masked else SEAL
        self._plugin = plugin
        self._names = names
        self._properties = Allowlist(allowed.properties, masks.listed)
        self._names_are_masked = Rule("name", masked=True) in allowed.properties
        self._traits = Allowlist(allowed.traits, masks.listed)
        self._group_traits = Allowlist(allowed.group_traits, masks.listed)
        self._context = Allowlist(allowed.context, masks.listed)
        self._integrations = Allowlist(allowed.integrations, masks.listed)
        self._root = Allowlist(allowed.root, masks.listed)
        self._own: dict[type, Callable[[Any, list[Note]], dict[str, Any]]] = {
            Identify: self._identify,
            Track: self._track,
            Page: self._page,
            Screen: self._screen,
            Group: self._group,
            Alias: self._alias,
        }

    def build(self, message: Message) -> tuple[Message, tuple[Note, ...]]:
        notes: list[Note] = []
        try:
            own = self._own[type(message)](message, notes)
            context = self._kept_context(message, notes)
            fields = {**self._common(message, notes), **own}
            root = self._kept_root(message, notes)
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON") from None
        part = ContextPart(context.get("traits"))
        built = with_own_context(type(message)(**fields, context_part=part), context)
        wire = {_WIRE[name]: value for name, value in fields.items() if value or value == ""}
        kept = built.__dict__
        kept["wire"] = {**root, "type": built.__struct_config__.tag, **wire}
        if context:
            kept["wire"]["context"] = context
        return built, tuple(notes)

    def _common(self, message: Message, notes: list[Note]) -> dict[str, Any]:
        if self._masked:
            notes.append(self._masked["messageId"])
        channel = message.channel
        return {
            "message_id": self._mask_message_id(message.message_id),
            "user_id": self._id(message.user_id, "userId", notes),
            "anonymous_id": self._id(message.anonymous_id, "anonymousId", notes),
            "timestamp": _time(message.timestamp),
            "original_timestamp": _time(message.original_timestamp),
            "sent_at": _time(message.sent_at),
            "received_at": _time(message.received_at),
            "channel": channel if channel in CHANNELS else None,
            "integrations": self._kept_integrations(message, notes),
        }

    def _id(self, identifier: str | None, path: str, notes: list[Note]) -> str | None:
        if identifier is None:
            return None
        masked = self._mask(identifier)
        if self._masked and masked not in PLACEHOLDERS:
            notes.append(self._masked[path])
        return masked or None

    # -- the six calls -------------------------------------------------------------------------

    def _identify(self, message: Identify, notes: list[Note]) -> dict[str, Any]:
        return {"traits": _kept(self._traits, message.traits, "traits", notes)}

    def _track(self, message: Track, notes: list[Note]) -> dict[str, Any]:
        if message.event is None or message.event not in self._allowed.events:
            raise Withheld("the event is not on both allowlists")
        properties = _kept(self._properties, message.properties, "properties", notes)
        return {"event": message.event, "properties": properties}

    def _page(self, message: Page, notes: list[Note]) -> dict[str, Any]:
        if (message.name or "") not in self._allowed.pages:
            raise Withheld("the page is not on both allowlists")
        return self._seen(message, self._allowed.pages, notes)

    def _screen(self, message: Screen, notes: list[Note]) -> dict[str, Any]:
        if (message.name or "") not in self._allowed.screens:
            raise Withheld("the screen is not on both allowlists")
        return self._seen(message, self._allowed.screens, notes)

    def _seen(
        self, message: Page | Screen, names: frozenset[str], notes: list[Note]
    ) -> dict[str, Any]:
        category = None
        if message.category is not None:
            # SDKs write it twice, here and as a property: the property's rule holds for both.
            kept = _kept(self._properties, {"category": message.category}, "category", notes)
            category = kept.get("category")
        properties = message.properties
        # Its name may stand there again, or another: the list of names holds for both.
        if not self._names_are_masked and not _is_listed(properties.get("name"), names):
            properties = {key: item for key, item in properties.items() if key != "name"}
            notes.append(_left_out("properties.name", 1))
        properties = _kept(self._properties, properties, "properties", notes)
        return {"name": message.name, "category": category, "properties": properties}

    def _group(self, message: Group, notes: list[Note]) -> dict[str, Any]:
        return {
            "group_id": self._id(message.group_id, "groupId", notes),
            "traits": _kept(self._group_traits, message.traits, "traits", notes),
        }

    def _alias(self, message: Alias, notes: list[Note]) -> dict[str, Any]:
        return {"previous_id": self._id(message.previous_id, "previousId", notes)}

    # -- what all calls have -------------------------------------------------------------------

    def _kept_context(self, message: Message, notes: list[Note]) -> dict[str, Any]:
        if self._context:
            whole = message.context
            context, tally = self._context.kept(whole)
            tally.dropped -= "traits" in whole  # they have a list of their own
            _tell(tally, "context", notes)
        else:  # not even decoded
            context = {}
            if len(bytes(message.context_json)) > len(b"{}"):
                notes.append(_NO_CONTEXT)
        if message.context_traits:
            traits = _kept(self._traits, message.context_traits, "context.traits", notes)
            if traits:
                context["traits"] = traits
        return context

    def _kept_integrations(self, message: Message, notes: list[Note]) -> dict[str, Any]:
        options = message.options(*self._names)
        if not options:
            return {}
        kept = _kept(self._integrations, options, "integrations", notes)
        return {self._plugin: kept} if kept else {}

    def _kept_root(self, message: Message, notes: list[Note]) -> dict[str, Any]:
        names = root_names(message) - DEFINED - self._seal
        if not names:
            return {}
        if self._root:
            return _kept(self._root, {name: message.wire[name] for name in names}, "", notes)
        notes.append(_left_out("", len(names)))
        return {}


_NO_CONTEXT = Note("dropped", "context", "nothing but traits of it is on both allowlists")
_WIRE = {
    field.name: field.encode_name
    for message_type in MESSAGE_TYPES.values()
    for field in msgspec.structs.fields(message_type)
}


def _kept(
    allowlist: Allowlist, value: dict[str, Any], path: str, notes: list[Note]
) -> dict[str, Any]:
    if not value:
        return {}
    kept, tally = allowlist.kept(value)
    _tell(tally, path, notes)
    return kept


def _is_listed(name: Any, names: frozenset[str]) -> bool:
    """Tell whether the property `name` of a page or screen may pass as a name, or is none."""
    if name is None or isinstance(name, dict) or (isinstance(name, str) and not name.strip()):
        return True  # an object's fields have rules of their own
    return name_text(name) in names


def _tell(tally: Tally, path: str, notes: list[Note]) -> None:
    if tally.dropped:
        notes.append(_left_out(path, tally.dropped))
    if tally.cut:
        notes.append(_note("truncated", path, tally.cut, "passed without query or credentials"))
    if tally.masked:
        notes.append(_note("masked", path, tally.masked, "passed masked"))


def _left_out(path: str, count: int) -> Note:
    return _note("dropped", path, count, "may not pass: it takes both allowlists")


@lru_cache(1024)
def _note(code: str, path: str, count: int, what: str) -> Note:
    return Note(code, path, f"{count} field{'' if count == 1 else 's'} {what}")


def _time(text: str | None) -> str | None:
    """Write a time in one form, because other forms could carry more than the time."""
    return None if text is None else utc_text(text)


def _as_it_is(value: _T) -> _T:
    return value
