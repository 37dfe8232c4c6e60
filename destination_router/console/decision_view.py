"""Shows a connection's decision about a message: requests without secrets, notes and steps."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from destination_router.delivery.replays import replayed
from destination_router.eventlog.trace import Trace, TraceContent
from destination_router.pipeline.connection import Connection, Decision
from destination_router.service.tracing import plain_notes, plain_steps


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that may be shown.

    Attributes:
        result: `requests`, `filtered` or `rejected`.
        why: the code and the words if it is not sent.
        requests: the requests without secrets.
        notes: what was changed or left out.
        steps: as `TraceContent.steps`.
        outcomes: the outcome of each request that was sent; empty: nothing was sent.
    """

    result: str
    why: str
    requests: tuple[dict[str, Any], ...]
    notes: tuple[dict[str, str], ...]
    steps: tuple[dict[str, Any], ...]
    outcomes: tuple[str, ...] = ()


def view_of(connection: Connection, raw: bytes) -> DecisionView:
    """Decide a message, and show the decision. Sends nothing."""
    return shown(connection, connection.decide(raw), raw)


def shown(connection: Connection, decision: Decision, raw: bytes) -> DecisionView:
    """Show the decision about a message."""
    reject = decision.reject
    return DecisionView(
        result=decision.result,
        why=decision.reason or "" if reject is None else f"{reject.code}: {reject.detail}",
        requests=tuple(connection.shown(request) for request in decision.requests),
        notes=plain_notes(decision.notes),
        steps=tuple(plain_steps(connection.explained(raw))),
    )


def content_of(connection: Connection, trace: Trace) -> TraceContent:
    """Work out what a trace leaves out: the steps, and the requests that they led to.

    Args:
        connection: the connection as it was then.
        trace: the trace with its body.
    """
    content = trace.content
    if not trace.fingerprint or content.body is None:
        return content
    raw = content.body.encode()
    decision = connection.decide(raw, source=trace.source or None)
    requests = replayed(decision, content.replay or None).requests
    ended_before = trace.result in ("rejected", "filtered") and not content.exchanges
    return replace(
        content,
        steps=tuple(plain_steps(connection.explained(raw))),
        requests=() if ended_before else tuple(map(connection.shown, requests)),
    )
