"""A bulk that a vendor refuses is taken apart, so that it costs only the job that is at fault.

All that is left of a bulk at this point is its body. It can be cut where it is an object that
holds exactly one list, with one entry for each item; each part keeps the rest of the body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.outcomes import alone, smaller_bulks, worst

Send = Callable[[HttpRequest], Awaitable[dict[str, Outcome]]]


def bulk_list(request: HttpRequest) -> str | None:
    """Name the one list of a bulk's body; None if the body cannot be cut."""
    if not isinstance(request.json, dict):
        return None
    lists = [name for name, value in request.json.items() if isinstance(value, list)]
    return lists[0] if len(lists) == 1 else None


async def send_apart(request: HttpRequest, send: Send) -> dict[str, Outcome]:
    """Send a bulk; where it is refused for some of its items, send the others without them.

    Args:
        request: with `items`, one for each entry of its body's list, if it may be cut.
        send: sends a request once.

    Returns:
        An outcome for each of its message ids, never `suspect`. A message that is in several
        parts has that of the first which was not delivered.
    """
    outcomes = await send(request)
    parts = smaller_bulks(request.items, outcomes)
    in_parts = {index for part in parts for at in part for index in request.items[at]}
    settled = {
        index: alone(outcome) for index, outcome in outcomes.items() if index not in in_parts
    }
    for part in parts:
        for index, outcome in (await send_apart(_part(request, part), send)).items():
            settled[index] = worst([settled.get(index, outcome), outcome])
    return settled


def _part(request: HttpRequest, positions: Sequence[int]) -> HttpRequest:
    name = bulk_list(request)
    entries = request.json[name]
    items = tuple(request.items[at] for at in positions)
    return msgspec.structs.replace(
        request,
        json={**request.json, name: [entries[at] for at in positions]},
        items=items,
        message_ids=tuple(dict.fromkeys(index for item in items for index in item)),
    )
