"""Shows decisions and outcomes, as JSON for programs and as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.text import Text

from destination_router.contract.records import HttpRequest, Note
from destination_router.delivery.worker import Delivery
from destination_router.pipeline.connection import Connection, Decision, StepTaken

_STYLES = {"requests": "green", "rejected": "red", "filtered": "yellow"}


def decision_json(decision: Decision, connection: Connection) -> dict[str, Any]:
    """Turn a decision into the documented shape of `try --json`."""
    reject = decision.reject
    return {
        "messageId": decision.message_id,
        "result": decision.result,
        "requests": [connection.shown(request) for request in decision.requests],
        "reject": None if reject is None else {"code": reject.code, "detail": reject.detail},
        "reason": decision.reason,
        "notes": [_note_json(note) for note in decision.notes],
    }


def delivery_json(delivery: Delivery, connection: Connection) -> dict[str, Any]:
    """Turn a delivery into the shape of a decision, with the vendor's answer."""
    outcome = delivery.outcome
    return {
        **decision_json(delivery.decision, connection),
        "outcome": None
        if outcome is None
        else {"result": outcome.result, "code": outcome.code, "detail": outcome.detail},
    }


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 message`, `2 messages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Tally:
    """Counts decisions by result, and their requests."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.requests = 0

    def count(self, decision: Decision) -> None:
        """Add one decision."""
        self.results[decision.result] += 1
        self.requests += len(decision.requests)

    def __str__(self) -> str:
        """Write the counts in one line."""
        told = self.results
        requests = counted(self.requests, "request")
        return (
            f"{counted(told.total(), 'message')}: {told['requests']} would be sent in {requests} "
            f"before packing, {told['filtered']} filtered, {told['rejected']} rejected"
        )


def print_decision(
    console: Console, decision: Decision, connection: Connection, *, place: str = ""
) -> None:
    """Explain one decision to a person.

    Args:
        console: where to print.
        decision: the decision.
        connection: the connection that made it.
        place: the message's place in its file, if it has one: `line 3`.
    """
    style = _STYLES[decision.result]
    title = f"{decision.type or 'message'} {decision.message_id}".strip()
    before = f"{place}  " if place else ""
    console.print(
        f"{before}[bold]{escape(title)}[/]  [{style}]{escape(_summary(decision))}[/]",
    )
    for request in decision.requests:
        _print_request(console, request, connection)
    for note in decision.notes:
        path = f"{note.path}: " if note.path else ""
        console.print(f"  [yellow]{escape(note.code)}[/] {escape(path + note.detail)}")


def steps_json(steps: Sequence[StepTaken]) -> list[dict[str, Any]]:
    """Turn what transformations and privacy did into the shape of `try --json`."""
    return [
        {
            "step": step.step,
            "before": step.before,
            "after": step.after,
            "notes": [_note_json(note) for note in step.notes],
            "end": step.end,
        }
        for step in steps
    ]


def print_steps(console: Console, steps: Sequence[StepTaken]) -> None:
    """Show a message before and after each step that changed it."""
    for step in steps:
        end = f"  [yellow]{escape(step.end)}[/]" if step.end else ""
        idle = "" if step.end or step.notes or step.before != step.after else "  nothing to do"
        if step.notes and step.before is step.after is None:
            idle = "  done, see the notes: the message is shown after privacy"
        console.print(f"  step {escape(step.step)}{end}{idle}")
        if step.before == step.after:
            continue
        for sign, value in (("-", step.before), ("+", step.after)):
            if value is not None:
                text = msgspec.json.encode(value).decode()
                console.print(f"    {sign} {escape(text)}")


def print_delivery(console: Console, delivery: Delivery, connection: Connection) -> None:
    """Explain one decision and the vendor's answer."""
    print_decision(console, delivery.decision, connection)
    outcome = delivery.outcome
    if outcome is not None:
        style = "green" if outcome.result == "delivered" else "red"
        words = " ".join(part for part in (outcome.result, outcome.code, outcome.detail) if part)
        console.print(f"  [{style}]→ {escape(words)}[/]")
    console.print()


def print_json(console: Console, value: Any) -> None:
    """Print a JSON value over several lines, in colour on a terminal."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if console.is_terminal:
        shown = Syntax("", "json", background_color="default").highlight(text)
        shown.rstrip()
    else:
        shown = Text(text)
    console.print(shown)


def _summary(decision: Decision) -> str:
    match decision:
        case Decision(reject=reject) if reject is not None:
            return f"rejected, {reject.code}: {reject.detail}"
        case Decision(result="filtered", reason=reason):
            return f"filtered: {reason}"
        case _:
            return counted(len(decision.requests), "request")


def _print_request(console: Console, request: HttpRequest, connection: Connection) -> None:
    shown = connection.shown(request)
    console.print(f"  [cyan]{escape(shown['method'])} {escape(shown['url'])}[/]")
    for part in ("params", "headers"):
        if shown[part]:
            console.print(f"  {part} {escape(msgspec.json.encode(shown[part]).decode())}")
    for part in ("json", "form"):
        if part in shown:
            print_json(console, shown[part])
    if "content" in shown:
        console.print(shown["content"], markup=False, highlight=False)


def _note_json(note: Note) -> dict[str, str]:
    return {"code": note.code, "path": note.path, "detail": note.detail}
