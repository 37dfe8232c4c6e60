"""Decides which process delivers to which connection. Pure.

A connection stays in its process as long as that is fair, because one that moves has to end in one
process before it begins in another. One process delivers all connections that may share a limit of
the vendor, because no process sees how much another one uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from destination_router.contract.records import Json
from destination_router.pipeline.connection import Connection
from destination_router.settings.validation import load_settings


def divide(
    groups: Sequence[Sequence[str]], count: int, before: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Divide connections evenly among processes, and move as few as possible.

    A group stays where most of it was. A new group goes where the fewest connections are. Then
    groups move from the fullest process to the emptiest, as long as that makes the division more
    even. The order of groups and processes breaks ties, so the same input has the same result.

    Args:
        groups: names of connections. Each is in one group, and a group stays together.
        count: the number of processes.
        before: the process of each connection so far, from 0.

    Returns:
        The process of each connection. A process without a connection has nothing to do.
    """
    placed: dict[int, int] = {}
    for number, group in enumerate(groups):
        if (known := _most_common(group, count, before or {})) is not None:
            placed[number] = known
    new = [number for number in range(len(groups)) if number not in placed]
    for number in sorted(new, key=lambda each: -len(groups[each])):  # the largest first: they fit
        loads = _loads(groups, placed, count)
        placed[number] = loads.index(min(loads))
    while (move := _fairer(groups, placed, count)) is not None:
        number, to = move
        placed[number] = to
    return {name: placed[number] for number, group in enumerate(groups) for name in group}


def _most_common(group: Sequence[str], count: int, before: Mapping[str, int]) -> int | None:
    known = Counter(before[name] for name in group if before.get(name, count) < count)
    return min(known, key=lambda share: (-known[share], share), default=None)


def _loads(groups: Sequence[Sequence[str]], placed: Mapping[int, int], count: int) -> list[int]:
    loads = [0] * count
    for number, share in placed.items():
        loads[share] += len(groups[number])
    return loads


def _fairer(
    groups: Sequence[Sequence[str]], placed: Mapping[int, int], count: int
) -> tuple[int, int] | None:
    """Find the move from the fullest process to the emptiest that makes them most equal."""
    loads = _loads(groups, placed, count)
    fullest, emptiest = loads.index(max(loads)), loads.index(min(loads))
    gap = loads[fullest] - loads[emptiest]
    movable = [
        number
        for number, share in placed.items()
        if share == fullest and 0 < len(groups[number]) < gap
    ]
    if not movable:
        return None
    # Of those that are as good, the last in the file: the others were there before it.
    best = min(movable, key=lambda number: (abs(gap - 2 * len(groups[number])), -number))
    return best, emptiest


def groups_by_quota(connections: Sequence[Connection]) -> list[list[str]]:
    """Group connections that may share a quota, such as those of one account at one vendor.

    No plugin says which setting names the account. So connections of one plugin with quotas belong
    together if they share any setting that is text or a number, unless it is a default or one of a
    few values that the schema lists.
    """
    group_of: dict[str, list[str]] = {}
    first: dict[tuple[str, str, Json], str] = {}
    for connection in connections:
        group_of[connection.name] = [connection.name]
        if "quotas" not in connection.plugin.capabilities:
            continue
        for key, value in _own_values(connection):
            other = first.setdefault((connection.plugin.name, key, value), connection.name)
            _join(group_of, other, connection.name)
    unique = {id(group): group for group in group_of.values()}
    return list(unique.values())


def _join(group_of: dict[str, list[str]], one: str, other: str) -> None:
    ours, theirs = group_of[one], group_of[other]
    if ours is theirs:
        return
    ours += theirs
    for name in theirs:
        group_of[name] = ours


def _own_values(connection: Connection) -> Iterator[tuple[str, Json]]:
    schema = connection.plugin.hook.settings_schema()
    fields = schema.get("properties", {})
    for key, value in load_settings(schema, connection.given).items():
        field = fields.get(key, {})
        if not isinstance(field, dict) or field.keys() & {"enum", "const"}:
            continue
        if type(value) in (str, int) and value not in ("", field.get("default")):
            yield key, value
