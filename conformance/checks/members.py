"""Members: a destination sends what a message holds beside its call's own fields, or notes it.

The check gives every call the members of all others, and some that no call has but real SDKs send:
traits on an event, `userProperties`, an `email`. It does so with a userId and without one, because
an anonymous user's traits go elsewhere than a known user's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from conformance.checks.check import Bed, Check
from conformance.checks.notes import unexplained_leaves
from conformance.checks.traffic import Sent
from conformance.compare import Difference
from conformance.subject import wire

_CALLS = ("identify", "track", "page", "screen", "group", "alias")
_MEMBERS: dict[str, Any] = {
    "event": "probe-event",
    "name": "probe-name",
    "category": "probe-category",
    "groupId": "probe-group",
    "previousId": "probe-previous",
    "properties": {"probed": "probe-property"},
    "traits": {"probed": "probe-trait"},
    "userProperties": {"probed": "probe-user-property"},
    "email": "probe@members.example",
    "context": {"traits": {"probed": "probe-context-trait"}},
}


def _every_member_told(bed: Bed) -> Iterator[Difference]:
    connection = bed.subject.connection(bed.settings)
    for kind in _CALLS:
        for who in ({"userId": "probe-user"}, {"anonymousId": "probe-anonymous"}):
            message = {"type": kind, "messageId": f"probe-{kind}", **who, **_MEMBERS}
            path = f"probe.{kind}.{next(iter(who))}"
            sent = Sent(path=path, connection=connection, raw=wire(message))
            decision = sent.decide()
            if decision.result != "requests":
                continue
            held = msgspec.json.decode(sent.raw)
            for name in _MEMBERS:
                if (kind, name) == ("alias", "previousId"):
                    continue  # what it is for may go out under an id that is made of it
                place, value = (
                    ("context.traits", held["context"]["traits"])
                    if name == "context"
                    else (name, held[name])
                )
                yield from unexplained_leaves(path, place, value, decision)


CHECKS = (
    Check(
        id="check/members-none-unread",
        title="A member of a message that is not sent is named by a note, whichever call has it",
        run=_every_member_told,
    ),
)
