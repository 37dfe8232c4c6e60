"""What `send` remembers of a file that it has not finished, so that the next run sends the rest.

A state file is kept per file, connection, settings and origins, below `$XDG_STATE_HOME` (or
`~/.local/state`) in `destination-router/send/`. It holds line numbers and no content, and goes
when the file is finished. A file that has changed since is sent anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from destination_router.eventlog.progress import Progress
from destination_router.faults import UNDECODABLE
from destination_router.files.reading import STANDARD_INPUT

_SAVE_PAUSE = 0.5


class _Identity(msgspec.Struct, frozen=True):
    """What makes a file the same file as last time."""

    path: str
    size: int
    modified: int


class _Saved(msgspec.Struct, frozen=True):
    file: _Identity
    low: int
    done: list[int]


class SendState:
    """Which lines of a file are done with.

    Args:
        path: the state file; None: nothing is remembered.
        identity: the file's.
    """

    def __init__(self, path: Path | None, identity: _Identity | None) -> None:
        self._path = path
        self._identity = identity
        self._saved_at = 0.0
        saved = None if path is None else _load(path)
        if saved is None or saved.file != identity:
            saved = None
        self.resumed = saved is not None
        self._done = set() if saved is None else set(saved.done)
        self._progress = Progress(0 if saved is None else saved.low, self._done)

    @property
    def kept(self) -> bool:
        """Whether the next run goes on where this one ends: of a file, not of a stream."""
        return self._path is not None

    def is_done(self, line: int) -> bool:
        """Whether a line was done with in a former run or in this one."""
        return self._progress.is_done(line)

    def hand_out(self, lines: list[int], through: int) -> None:
        """Note which lines were read."""
        self._progress.hand_out(lines, through)

    def commit(self, lines: Collection[int]) -> None:
        """Note which lines are done with; written to disk twice a second at the most."""
        self._progress.commit(lines)
        self._done.update(lines)
        if time.monotonic() - self._saved_at >= _SAVE_PAUSE:
            self.save()

    def save(self) -> None:
        """Write it down."""
        if self._path is None or self._identity is None:
            return
        self._saved_at = time.monotonic()
        low = self._progress.low
        self._done = {line for line in self._done if line > low}
        saved = _Saved(self._identity, low, sorted(self._done))
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(saved))
        draft.replace(self._path)

    def finish(self) -> None:
        """Forget it: the next run starts anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def state_of(source: str, *purpose: Any) -> SendState:
    """Find what is remembered of a file.

    Args:
        source: as given to `send`; a stream is not remembered.
        purpose: what else makes it the same run: connection, settings, origins.
    """
    path = Path(source).resolve()
    if source == STANDARD_INPUT or path.is_fifo():
        return SendState(None, None)
    about = path.stat()
    name = hashlib.sha256(msgspec.json.encode([str(path), purpose], order="deterministic"))
    state = state_directory() / "send" / f"{name.hexdigest()[:32]}.json"
    return SendState(state, _Identity(str(path), about.st_size, about.st_mtime_ns))


def state_directory() -> Path:
    """Tell where what outlives a command is kept, for the user who gave it."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "destination-router"


def _load(path: Path) -> _Saved | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Saved)
    except (OSError, *UNDECODABLE):
        return None
