"""What a rudder-server and the transformer said to each other, as it was written down.

rudder-server 1.83 (commit f2655fb), built from source, with PostgreSQL, in the workspace of
docs/rudderstack.md. Its events, users and ids are made up. Each file is one way of sending; each of
its lines is one of a scenario's: what was asked and answered, what was sent to the vendor, who
stands at `VENDOR`, and in the end each row of the server's own table of job statuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[1] / "destination_router" / "transformer" / "recorded"
VENDOR = "http://vendor.example"
WAYS = ("off", "v0", "v1")


class Call(msgspec.Struct, frozen=True):
    """A request of the server's to the transformer, and the answer."""

    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any


class Sent(msgspec.Struct, frozen=True):
    """A request to the vendor, and the answer; whoever sent it."""

    path: str
    body: Any
    status: int
    words: str


class Row(msgspec.Struct, frozen=True):
    """A row of the table of job statuses."""

    job: int
    message_id: str
    state: str
    code: str


class Scenario(msgspec.Struct):
    """Seven jobs, of which the vendor refuses the parts `refused`."""

    name: str
    refused: list[str]
    calls: list[Call] = []
    sent: list[Sent] = []
    rows: list[Row] = []


class _Line(msgspec.Struct):
    scenario: str = ""
    refused: list[str] = []
    call: Call | None = None
    sent: Sent | None = None
    row: Row | None = None


def scenarios(way: str) -> list[Scenario]:
    """Read what was recorded of a way of sending, in order."""
    found: list[Scenario] = []
    for text in (FOLDER / f"{way}.jsonl").read_bytes().splitlines():
        line = msgspec.json.decode(text, type=_Line)
        if line.scenario:
            found.append(Scenario(line.scenario, line.refused))
        elif line.call is not None:
            found[-1].calls.append(line.call)
        elif line.sent is not None:
            found[-1].sent.append(line.sent)
        elif line.row is not None:
            found[-1].rows.append(line.row)
    return found
