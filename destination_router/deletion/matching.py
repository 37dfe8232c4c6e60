"""Finds the messages of people who are deleted, among waiting ones and dead letters. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from destination_router.contract.deletion import Identifier
from destination_router.eventlog.partition import id_text
from destination_router.pipeline.connection import Connection
from destination_router.pipeline.privacy.masking import MaskingKeys, plain_identifier


class _Context(msgspec.Struct, frozen=True):
    traits: Any = None


_SHORTEST_FOUND = 4
"""A shorter id can be part of a text by chance."""

_NO_CONTEXT = _Context()


class _Head(msgspec.Struct, rename="camel"):
    """The fields of a message that are read. The decoder skips all others."""

    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    integrations: Any = None
    traits: Any = None
    context: _Context = _NO_CONTEXT


_decode = msgspec.json.Decoder(_Head).decode


class Theirs:
    """Tells whether a message is from one of several people.

    It is if it carries one of their ids, in clear or masked, or if the connection's requests do. A
    transformation, a mapping or an option may replace an id.

    Args:
        connection: the connection that gets the messages.
        identifiers: the people's, as messages carry them.
        keys: the keys with which delivery masks ids; None: it does not mask.
    """

    def __init__(
        self, connection: Connection, identifiers: Iterable[Identifier], keys: MaskingKeys | None
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._users: set[str] = set()
        self._visitors: set[str] = set()
        for identifier in identifiers:
            known = self._users if identifier.kind == "userId" else self._visitors
            known.add(self._plain(identifier.value))
            if keys is not None:
                known.update(keys.mask_all_versions(identifier.value))

    def __call__(self, raw: bytes) -> bool:
        """Decide for one message, as wire JSON. An unreadable one is nobody's."""
        try:
            head = _decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._is_made_theirs(raw)  # it may still be read on the slow road
        user, visitor = self._id(head.user_id), self._id(head.anonymous_id)
        former = self._id(head.previous_id)
        if user in self._users or visitor in self._visitors:
            return True
        if former in self._users or former in self._visitors:
            return True
        options = head.integrations
        may_differ = (
            self._connection.gives_other_ids
            or (isinstance(options, dict) and dict in map(type, options.values()))
            # Where some dialects look for an identity; SDKs send it empty for who is unknown.
            or (not user and bool(head.traits or head.context.traits))
        )
        return may_differ and self._is_made_theirs(raw)

    def names(self, words: str) -> bool:
        """Tell whether a text, such as a vendor's answer, contains one of their ids."""
        known = (*self._users, *self._visitors)
        return any(each in words for each in known if len(each) >= _SHORTEST_FOUND)

    def _is_made_theirs(self, raw: bytes) -> bool:
        decision = self._connection.decide(raw)
        users = {*decision.identities, decision.user_id}
        return not self._users.isdisjoint(users) or decision.anonymous_id in self._visitors

    def _id(self, value: object) -> str:
        return self._plain(id_text(value))

    def _plain(self, text: str) -> str:
        return text if self._keys is None else plain_identifier(text)
