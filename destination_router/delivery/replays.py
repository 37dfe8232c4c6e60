"""Chooses the requests of a message that go out again in a replay. Pure."""

from __future__ import annotations

import msgspec

from destination_router.pipeline.connection import Decision

EVENTS = "events"
"""A replay without profile updates, whose older values would overwrite newer ones."""

PROFILES = "profiles"
"""A replay with profile updates."""


def replayed(decision: Decision, replay: str | None) -> Decision:
    """Reduce a decision to what a replay sends. A message that is no replay stays as it is.

    A profile update is a request that only overwrites state (`HttpRequest.state_key`).
    """
    if replay != EVENTS or decision.result != "requests":
        return decision
    events = tuple(request for request in decision.requests if request.state_key is None)
    if len(events) == len(decision.requests):
        return decision
    if not events:
        reason = "a replay of events alone leaves profiles as they are"
        return msgspec.structs.replace(decision, result="filtered", reason=reason, requests=())
    return msgspec.structs.replace(decision, requests=events)
