"""The files of a deletion: an audit of all requests and answers, and a state to resume from.

The audit (JSON, one event a line) proves that somebody was deleted, but is not a list of those
people: it holds ids as HMAC-SHA-256 under a key in a file beside it. With an id and both files, you
can find the id. Once you destroy the key's file, nobody can, but the audit still says when users
were deleted, how many, and under which request ids. The state file lasts until everything is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from destination_router.contract.deletion import Identifier
from destination_router.contract.records import Json
from destination_router.contract.times import format_time
from destination_router.deletion.vendor import DeletionGroup
from destination_router.faults import UNDECODABLE, UsageError
from destination_router.private_files import open_private, replace_private

_KEY_BYTES = 32
_KEY = re.compile(b"[0-9a-f]{64}")


class _GroupState(msgspec.Struct, frozen=True):
    state: str
    request_id: str


class _Entry(msgspec.Struct, rename="camel"):
    """The fields of an audit's line that are read again."""

    event: str
    request_id: str = ""
    ids: tuple[str, ...] = ()


_STATES = {"submitted": "pending", "complete": "complete", "failed": "failed"}


class _State(msgspec.Struct, frozen=True):
    of: str
    groups: list[_GroupState]


class DeletionAudit:
    """The files `audit`, `audit.key` and `audit.state` of one deletion. Only the owner reads them.

    Args:
        path: the audit's.
        file: the audit, open at its end.
        key: hashes the ids.
    """

    def __init__(self, path: Path, file: BinaryIO, key: bytes) -> None:
        self._state = _beside(path, "state")
        self._path = path
        self._file = file
        self._key = key

    def digest(self, identifier: Identifier) -> str:
        """Hash an id for the audit."""
        return _digest(self._key, identifier)

    def note(self, event: str, **fields: Any) -> None:
        """Write a line. It is on disk when this returns."""
        at = format_time(datetime.fromtimestamp(time.time(), UTC))
        self._file.write(msgspec.json.encode({"at": at, "event": event, **fields}) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def resume(self, purpose: Sequence[Json], groups: Sequence[DeletionGroup]) -> bool:
        """Restore the groups of an interrupted run, and tell whether there was one.

        Args:
            purpose: identifies the deletion: plugin, settings and subjects.
            groups: in the same order as then.

        Raises:
            UsageError: an interrupted deletion of other users is not finished.
        """
        self._of = self._purpose(purpose)
        saved = self._load()
        if saved is None:
            return False
        if saved.of != self._of or len(saved.groups) != len(groups):
            raise UsageError(
                f"{self._state}: a deletion of other users, or with other settings, is not "
                "finished; give its command again, or another --audit, or remove the file"
            )
        for group, then in zip(groups, saved.groups, strict=True):
            if then.state in ("pending", "complete"):
                group.state = "pending" if then.state == "pending" else "complete"
                group.request_id = then.request_id
        return True

    def save(self, groups: Sequence[DeletionGroup]) -> None:
        """Write the state of the groups, or remove it once all are complete."""
        if all(group.state == "complete" for group in groups):
            self._state.unlink(missing_ok=True)
            return
        saved = _State(self._of, [_GroupState(group.state, group.request_id) for group in groups])
        replace_private(self._state, msgspec.json.encode(saved))

    def _purpose(self, purpose: Sequence[Json]) -> str:
        content = msgspec.json.encode(purpose, order="deterministic")
        return hmac.digest(self._key, content, "sha256").hex()

    def _load(self) -> _State | None:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        except UNDECODABLE:
            raise UsageError(f"{self._state}: cannot be read; remove it to start anew") from None


@contextlib.contextmanager
def open_audit(path: Path) -> Iterator[DeletionAudit]:
    """Open an audit, for one process at a time.

    Raises:
        UsageError: another process has it open, or its key is invalid.
        OSError: it cannot be written.
    """
    with open_private(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path}: another deletion writes to it; let it end") from None
        _end_line(path, file)
        if not _beside(path, "key").exists():
            replace_private(_beside(path, "key"), secrets.token_hex(_KEY_BYTES).encode() + b"\n")
        yield DeletionAudit(path, file, _key(path))


def _end_line(path: Path, file: BinaryIO) -> None:
    """End a line that a crash or a full disk cut off, so that the next line stays whole."""
    if file.tell():
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read() != b"\n":
                file.write(b"\n")


def found_in(
    path: Path, identifiers: Iterable[Identifier]
) -> tuple[list[str | None], Sequence[int]]:
    """Look up ids in an audit: `complete`, `pending`, `failed`, or None if it does not have them.

    If several requests named an id, it is `pending` while any of them is. Otherwise the last
    counts.

    Returns:
        The state of each id, and the numbers of unreadable lines, which a crash or a full disk may
        leave behind.

    Raises:
        OSError: the audit or its key does not exist.
    """
    key = _key(path)
    requests: dict[str, dict[str, None]] = {}
    states: dict[str, str] = {}
    unreadable: list[int] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            entry = msgspec.json.decode(line or b'{"event":""}', type=_Entry)
        except UNDECODABLE:
            unreadable.append(number)
            continue
        if entry.event not in _STATES:
            continue
        states[entry.request_id] = _STATES[entry.event]
        for digest in entry.ids:
            requests.setdefault(digest, {})[entry.request_id] = None
    found = [
        _last_of([states[request] for request in requests.get(_digest(key, identifier), ())])
        for identifier in identifiers
    ]
    return found, unreadable


def _last_of(states: Sequence[str]) -> str | None:
    if not states:
        return None
    return "pending" if "pending" in states else states[-1]


def _digest(key: bytes, identifier: Identifier) -> str:
    content = f"{identifier.kind}:{identifier.value}".encode()
    return hmac.digest(key, content, "sha256").hex()


def _key(path: Path) -> bytes:
    """Read the key of an audit. Refuse an empty one, which would not protect the hashes."""
    try:
        key = _beside(path, "key").read_bytes().strip()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no audit here, or its key is gone") from None
    if not _KEY.fullmatch(key):
        raise UsageError(
            f"{_beside(path, 'key')}: is not a key of {2 * _KEY_BYTES} hexadecimal digits; restore "
            "it, or give another --audit"
        )
    return key


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")
