"""The record of a connection's decision about one message."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, final

import msgspec

from destination_router.contract.messages import MESSAGE_TYPES, ContextPart, Identify, Message
from destination_router.contract.records import HttpRequest, Note

_USER_ID = "userId"
_PERSONAL = ("email", "name")
_LEFT_OUT = frozenset({"unsafe_identity", "dropped"})


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a message was rejected.

    Attributes:
        code: a stable name for the reason, in snake_case.
        detail: a sentence without personal values.
    """

    code: str
    detail: str


@final
class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a connection makes of one message.

    Attributes:
        message_id: the message's id. It is empty if the message could not even be read.
        result: `requests`, `rejected`, or `filtered`: the connection does not take the message, or
            the destination ignores it.
        requests: what to send, in order.
        reject: why it was rejected.
        reason: why it was filtered.
        notes: everything that was changed or left out, in the message's order.
        user_keys: the users whose order the message belongs to. Its requests have the first.
        user_id: the message's `userId`, if it has one.
        anonymous_id: the message's `anonymousId`, if it has one.
        type: which call it was, if that could be read.
        person: the traits of which each person has only one, such as `email`: names and values.
    """

    message_id: str
    result: Literal["requests", "rejected", "filtered"]
    requests: tuple[HttpRequest, ...] = ()
    reject: Refusal | None = None
    reason: str | None = None
    notes: tuple[Note, ...] = ()
    user_keys: tuple[str, ...] = ()
    user_id: str | None = None
    anonymous_id: str | None = None
    type: str = ""
    person: tuple[tuple[str, str], ...] = ()

    @property
    def identities(self) -> frozenset[str]:
        """The identities that its requests name, for a vendor that merges users by them."""
        return frozenset(named_identities(self))


def named_identities(decision: Decision) -> Collection[str]:
    """Find what `identities` gives, without a set where there is one request, as nearly always."""
    requests = decision.requests
    if len(requests) == 1 and (only := requests[0].identity) is not None:
        return (only,) if only else ()
    named = {request.identity for request in requests}
    if None in named and decision.user_id is not None and not leaves_user_id_out(decision.notes):
        named.add(decision.user_id)
    return {identity for identity in named if identity}


def decided(
    message: Message,
    result: Literal["requests", "rejected", "filtered"],
    **what: Any,
) -> Decision:
    """Make the decision about a message."""
    return Decision(
        message_id=message.message_id,
        result=result,
        user_keys=message.user_keys,
        user_id=message.user_id,
        anonymous_id=message.anonymous_id,
        type=message_type(message),
        person=personal(message),
        **what,
    )


def personal(message: Message) -> tuple[tuple[str, str], ...]:
    """Read the names and values of the traits of which a person has only one."""
    traits: dict[str, Any] | None
    if type(message) is Identify:
        identify: Identify = message
        traits = identify.traits
    else:
        part: ContextPart = message.context_part
        traits = part.traits
    if not traits:
        return ()
    found: tuple[tuple[str, str], ...] = ()
    for name in _PERSONAL:
        value = traits.get(name)
        if isinstance(value, str) and value:
            found = (*found, (name, value))
    return found


def joined(decided_by: Sequence[tuple[str, Decision]]) -> Decision:
    """Join the decisions of several subscriptions into one.

    Everything that any of them sends is sent. If none sends, a rejection takes precedence over a
    filter. A rejection beside requests becomes a note at its subscription.

    Args:
        decided_by: the path of each subscription, with its decision; at least one.
    """
    decisions = [decision for _, decision in decided_by]
    first = decisions[0]
    if len(decisions) == 1:
        return first
    senders = [decision for decision in decisions if decision.result == "requests"]
    notes = dict.fromkeys(note for decision in decisions for note in decision.notes)
    if not senders:
        refusals = [decision for decision in decisions if decision.reject is not None]
        return msgspec.structs.replace((refusals or [first])[0], notes=tuple(notes))
    lost = [
        Note(decision.reject.code, where, f"not sent: {decision.reject.detail}")
        for where, decision in decided_by
        if decision.reject is not None
    ]
    return msgspec.structs.replace(
        senders[0],
        requests=tuple(request for decision in senders for request in decision.requests),
        notes=(*notes, *lost),
    )


def leaves_user_id_out(notes: Sequence[Note]) -> bool:
    """Say whether a destination notes that it did not accept a message's userId as one."""
    return any(note.path == _USER_ID and note.code in _LEFT_OUT for note in notes)


def message_type(message: Message) -> str:
    """Return the name of a message's call, such as `track`."""
    return TYPE_NAMES[type(message)]


TYPE_NAMES = {kind: name for name, kind in MESSAGE_TYPES.items()}
