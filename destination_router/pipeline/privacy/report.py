"""Reports the fields of messages, how often they occur, and which pass; never a value. Pure.

A field's name can be personal itself (`{"visits": {"ada@example.com": 3}}`), and so can an event's.
A name is shown only if several people sent it and it does not look like a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.messages import Group, Identify, Message, Page, Screen, Track
from destination_router.pipeline.privacy.allowlists import Rule
from destination_router.pipeline.privacy.config import NAMES, PATHS
from destination_router.pipeline.privacy.hipaa import DEFINED, Allowed
from destination_router.pipeline.privacy.masking import PLACEHOLDERS, plain_identifier

_LONGEST_PATH = 1_000

HIDDEN_NAME = "<names that are not shown>"

_LOOKS_LIKE_A_VALUE = re.compile(r"@|[0-9]{6}|://|^[0-9 .+-]+$|[\x00-\x1f]|^.{81,}$")
_LOOKS_PERSONAL = re.compile(
    r"(?i)name|mail|phone|mobile|fax|address|street|city|zip|postal|birth|dob|age\b|gender|\bsex\b"
    r"|ssn|social|passport|licen[cs]e|account|iban|card|insur|patient|member|mrn|record|diagnos"
    r"|medic|health|drug|doctor|provider|(?:\b|_)ip(?:\b|_)|(?-i:[a-z]I[pP]\b)|device|advertis|idf[av]|agent|serial|vin\b|plate"
    r"|photo|image|voice|finger|face|\blat|\blon|lng|location|geo|url|uri|href|link|referr|path"
    r"|search|query|title|comment|note|text|message|password|token|secret|\bid\b|_id\b|Id\b|uuid"
)


class Row(msgspec.Struct, frozen=True):
    """One field, or one event.

    Attributes:
        list: its list in an allowlist: `properties`, `events`.
        name: its path or its name.
        seen: the number of messages that have it.
        passed: the number of messages in which both allowlists let it pass.
        personal: whether its name sounds personal.
    """

    list: str
    name: str
    seen: int
    passed: int
    personal: bool

    @property
    def dropped(self) -> int:
        """The number of messages in which it did not pass."""
        return self.seen - self.passed


class _Count:
    __slots__ = ("seen", "users", "visitors")

    def __init__(self) -> None:
        self.seen = 0
        self.users: set[int] = set()
        self.visitors: set[int] = set()

    @property
    def people(self) -> int:
        """The least number of people who sent it.

        A visitor who signs in has two ids, so only ids of the same kind distinguish people.
        """
        return min((len(ids) for ids in (self.users, self.visitors) if ids), default=0)


class Report:
    """Counts fields.

    Args:
        allowed: what passes.
        people: a name is shown if at least this many people sent it.
        names: the connection's names in `integrations`.
    """

    def __init__(self, allowed: Allowed, people: int, names: Sequence[str] = ()) -> None:
        self._allowed = allowed
        self._names = names
        self._people = people
        self._counts: dict[tuple[str, str], _Count] = {}
        self.messages = 0

    def add(self, message: Message) -> None:
        """Count a message's fields, each once."""
        self.messages += 1
        user, visitor = _person(message.user_id), _person(message.anonymous_id)
        options = _paths("integrations", message.options(*self._names))
        for place in {*_places(message), *options}:
            count = self._counts.setdefault(place, _Count())
            count.seen += 1
            for person, known in ((user, count.users), (visitor, count.visitors)):
                if person is not None and len(known) < self._people:
                    known.add(person)

    def rows(self) -> list[Row]:
        """List all names, the most frequent first. The hidden names of a list are one row."""
        rows: list[Row] = []
        hidden: dict[str, tuple[int, int]] = {}
        for (which, name), count in self._counts.items():
            passed = count.seen if self._passes(which, name) else 0
            if self._is_written_down(which, name) or (
                count.people >= self._people and not _LOOKS_LIKE_A_VALUE.search(name)
            ):
                personal = which in PATHS and _LOOKS_PERSONAL.search(name) is not None
                rows.append(Row(which, name, count.seen, passed, personal))
            else:
                seen_so_far, passed_so_far = hidden.get(which, (0, 0))
                hidden[which] = (seen_so_far + count.seen, passed_so_far + passed)
        rows += [
            Row(which, HIDDEN_NAME, seen, passed, personal=True)
            for which, (seen, passed) in hidden.items()
        ]
        order = {name: index for index, name in enumerate((*NAMES, *PATHS))}
        return sorted(rows, key=lambda row: (order[row.list], -row.seen, row.name))

    def _is_written_down(self, which: str, name: str) -> bool:
        """Tell whether a list names it in full, so that it is in the configuration already."""
        allowed = getattr(self._allowed, which)
        if which in NAMES:
            return name in allowed
        return any(rule.path == name and not rule.below for rule in allowed)

    def _passes(self, which: str, name: str) -> bool:
        allowed = getattr(self._allowed, which)
        return name in allowed if which in NAMES else _covered(name, allowed)


def proposal(rows: Iterable[Row]) -> str:
    """Write a TOML file of allowlists, for `allow = {file = "allow.toml"}`.

    A name that sounds personal is a comment, so that you have to decide.
    """
    by_list: dict[str, list[Row]] = {}
    for row in rows:
        if row.name != HIDDEN_NAME:
            by_list.setdefault(row.list, []).append(row)
    parts = [
        "# What may pass, proposed from what was seen. Read every line: only you know what a field",
        "# holds. What stands after a # sounds personal, and does not pass.",
    ]
    for which, its in by_list.items():
        parts.append(f"{which} = [")
        parts += [f"    {'# ' if row.personal else ''}{_quoted(row.name)}," for row in its]
        parts.append("]")
    return "\n".join(parts) + "\n"


def _person(identifier: str | None) -> int | None:
    """Identify a person without keeping the id; None for nobody."""
    plain = "" if identifier is None else plain_identifier(identifier)
    return None if plain in PLACEHOLDERS else hash(plain)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # a basic string of TOML is one of JSON


def _places(message: Message) -> Iterator[tuple[str, str]]:
    match message:
        case Track():
            if message.event is not None:  # without one it never passes, whatever is listed
                yield "events", message.event
            yield from _paths("properties", message.properties)
        case Page() | Screen():
            yield ("pages" if isinstance(message, Page) else "screens"), message.name or ""
            if message.category is not None:
                yield "properties", "category"  # whose rule is the property's
            yield from _paths("properties", message.properties)
        case Identify():
            yield from _paths("traits", message.traits)
        case Group():
            yield from _paths("group_traits", message.traits)
        case _:
            pass
    for name, value in message.context.items():
        part, inner = ("traits", value) if name == "traits" else ("context", {name: value})
        yield from _paths(part, inner)
    others = {name: value for name, value in message.wire.items() if name not in DEFINED}
    yield from _paths("root", others)


def _paths(part: str, value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if len(prefix) > _LONGEST_PATH:  # nobody reads it, and what is below would repeat it
        yield part, prefix[:_LONGEST_PATH]
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(part, item, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list):
        for item in value:
            yield from _paths(part, item, prefix)
    elif prefix:
        yield part, prefix


def _covered(path: str, rules: Iterable[Rule]) -> bool:
    return any(
        path == rule.path or (rule.below and path.startswith(f"{rule.path}.")) for rule in rules
    )
