"""What a connection makes of a message, for a page: requests with secrets hidden, notes, steps."""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router.contract.records import Note
from destination_router.pipeline.connection import Connection, Decision


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it may be shown.

    Attributes:
        result: `requests`, `filtered` or `rejected`.
        why: the code and the words where it is not sent.
        requests: as they may be shown.
        notes: what was changed or left out.
        steps: as `TraceContent.steps`.
        outcomes: of each request that was sent, what came of it; empty: nothing was sent.
    """

    result: str
    why: str
    requests: tuple[dict[str, Any], ...]
    notes: tuple[dict[str, str], ...]
    steps: tuple[dict[str, Any], ...]
    outcomes: tuple[str, ...] = ()


def view_of(connection: Connection, raw: bytes) -> DecisionView:
    """Decide a message, and show what came of it. Sends nothing."""
    return shown(connection, connection.decide(raw), raw)


def shown(connection: Connection, decision: Decision, raw: bytes) -> DecisionView:
    """Show what was decided of a message."""
    reject = decision.reject
    return DecisionView(
        result=decision.result,
        why=decision.reason or "" if reject is None else f"{reject.code}: {reject.detail}",
        requests=tuple(connection.shown(request) for request in decision.requests),
        notes=tuple(_note(note) for note in decision.notes),
        steps=tuple(
            {
                "step": step.step,
                "before": step.before,
                "after": step.after,
                "notes": [_note(note) for note in step.notes],
                "end": step.end,
            }
            for step in connection.explained(raw)
        ),
    )


def _note(note: Note) -> dict[str, str]:
    return {"code": note.code, "path": note.path, "detail": note.detail}
