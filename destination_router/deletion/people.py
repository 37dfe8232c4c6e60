"""Turns ids from a command line or a file into the vendor's names for users. Pure.

It treats an id as delivery did: it goes out in clear, or masked with every key that a connection in
HIPAA mode has or had, because the vendor may have events under any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.deletion import Identifier, UserDeletion
from destination_router.contract.records import Json, Reject
from destination_router.faults import UNDECODABLE, plain_code
from destination_router.files.reading import Line
from destination_router.pipeline.privacy.config import is_private
from destination_router.pipeline.privacy.masking import MaskingKeys, masking_keys

_TABULAR = re.compile(
    rb"^[^{].*[,;\t\"]|^[\",;\t]|^(?:user_?id|anonymous_?id|id|e-?mail)$", re.IGNORECASE
)
_KINDS = ("userId", "anonymousId")


class Asked(msgspec.Struct, frozen=True):
    """One id, and where it was given. Messages name that place, and not the id."""

    where: str
    identifier: Identifier


class Refused(msgspec.Struct, frozen=True):
    """A refused id, by its place, and the reason. It never quotes the id."""

    where: str
    code: str
    detail: str
    identifier: Identifier | None = None


class Wanted(msgspec.Struct, frozen=True):
    """The users to delete at the vendor.

    Attributes:
        subjects: each user once, in order, with the ids that it stands for.
        refused: the ids that it cannot delete.
    """

    subjects: list[tuple[Json, list[Identifier]]]
    refused: list[Refused]


def asked_by_option(kind: str, values: Iterable[str]) -> Iterator[Asked | Refused]:
    """Read ids from a command line."""
    for number, value in enumerate(values, 1):
        option = "--user" if kind == "userId" else "--anonymous"
        yield _asked(f"{option} {number}", kind, value)


def asked_by_lines(lines: Iterable[Line], file: str = "") -> Iterator[Asked | Refused]:
    """Read ids from a file: a userId a line, or an object with `userId`, `anonymousId` or both.

    It refuses a file that looks like a table (a heading, a separator, quotes): its lines are no
    ids, but the vendor would confirm their deletion all the same.

    Args:
        lines: the lines of the file.
        file: its name in messages, if there are several.
    """
    for line in lines:
        where = f"{file}, {line.place}" if file else line.place
        if _TABULAR.search(line.raw):
            detail = 'it looks like a table; write an id alone, or {"userId": "..."} for an odd one'
            yield Refused(where, "not_an_id", detail)
            continue
        if not line.raw.startswith(b"{"):
            yield _asked(where, "userId", line.raw.decode("utf-8", "surrogateescape"))
            continue
        try:
            content: dict[str, Any] = msgspec.json.decode(line.raw, type=dict[str, Any])
        except UNDECODABLE:
            yield Refused(where, "invalid_json", "write an id, or an object with userId")
            continue
        yield from asked_of(where, content)


def asked_of(where: str, user: Mapping[str, Json]) -> Iterator[Asked | Refused]:
    """Read the ids of one user. In an object, `userId` and `anonymousId` count."""
    found = [(kind, user[kind]) for kind in _KINDS if user.get(kind) not in (None, "")]
    if not found:
        yield Refused(where, "missing_identity", "it has neither userId nor anonymousId")
    yield from (_asked(where, kind, value) for kind, value in found)


def wanted(
    asked: Iterable[Asked | Refused], deletion: UserDeletion, keys: MaskingKeys | None
) -> Wanted:
    """Find the users that the vendor knows by the ids.

    Args:
        asked: the ids.
        deletion: the vendor's.
        keys: what delivery masks ids with; None: it does not.
    """
    subjects: dict[bytes, tuple[Json, list[Identifier]]] = {}
    refused: list[Refused] = []
    for one in asked:
        if isinstance(one, Refused):
            refused.append(one)
            continue
        identifier = one.identifier
        values = (identifier.value,) if keys is None else keys.mask_all_versions(identifier.value)
        try:
            found = [deletion.subject(Identifier(identifier.kind, value)) for value in values]
        except Reject as reject:
            code = plain_code(reject.code)
            refused.append(Refused(one.where, code, reject.detail, identifier))
            continue
        for subject in found:
            key = msgspec.json.encode(subject, order="deterministic")
            subjects.setdefault(key, (subject, []))[1].append(identifier)
    return Wanted(list(subjects.values()), refused)


def delivery_keys(config: ConnectionConfig) -> MaskingKeys | None:
    """Read the keys with which a connection masks ids; None if it sends them in clear.

    Raises:
        SettingsError: one is missing.
    """
    return masking_keys(config) if is_private(config) else None


def _asked(where: str, kind: Any, value: object) -> Asked | Refused:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = value.strip() if isinstance(value, str) else ""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = ""
    if not text:
        return Refused(where, "missing_identity", f"{kind} is no id: write text")
    return Asked(where, Identifier(kind, text))
