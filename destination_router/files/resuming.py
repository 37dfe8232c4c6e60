"""What `send` remembers about an unfinished file, so that the next run sends the rest.

There is a state file for each file, connection, settings and origins, in `destination-router/send/`
below `$XDG_STATE_HOME` (or `~/.local/state`). It holds line numbers and no content, and is removed
when the file is finished. A file that has changed since is sent from its start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from destination_router.eventlog.interface import Order, Standing, StandingBook
from destination_router.eventlog.progress import Progress
from destination_router.faults import UNDECODABLE, UsageError
from destination_router.files.reading import STANDARD_INPUT
from destination_router.private_files import open_private

_SAVE_PAUSE = 0.5


class _Identity(msgspec.Struct, frozen=True):
    """Identifies a file: if it is equal, the file has not changed."""

    path: str
    size: int
    modified: int


class _Saved(msgspec.Struct, frozen=True):
    file: _Identity
    low: int
    done: list[int]
    origins: list[str] = []


class SendState:
    """The finished lines of a file.

    Args:
        path: the state file; None: nothing is remembered.
        identity: the file's.

    `resumed` says whether it resumes an earlier run, and `unreadable` whether the earlier state is
    damaged. `origins` are the proven origins of the vendor.
    """

    def __init__(self, path: Path | None, identity: _Identity | None) -> None:
        self._path = path
        self._identity = identity
        self._saved_at = 0.0
        saved = None if path is None else _load(path)
        self.unreadable = isinstance(saved, Path)
        if not isinstance(saved, _Saved) or saved.file != identity:
            saved = None
        self.resumed = saved is not None
        self.origins = frozenset() if saved is None else frozenset(saved.origins)
        self._progress = Progress(0) if saved is None else Progress(saved.low, saved.done)

    @property
    def kept(self) -> bool:
        """Whether the next run can resume this one: yes for a file, no for a stream."""
        return self._path is not None

    def is_done(self, line: int) -> bool:
        """Tell whether an earlier run or this one has finished a line."""
        return self._progress.is_done(line)

    def hand_out(self, lines: list[int], through: int) -> None:
        """Note lines that were read."""
        self._progress.hand_out(lines, through)

    def commit(self, lines: Collection[int]) -> None:
        """Note finished lines. They are written to disk at most twice a second."""
        self._progress.commit(lines)
        if time.monotonic() - self._saved_at >= _SAVE_PAUSE:
            self.save()

    def save(self) -> None:
        """Write the state to disk."""
        if self._path is None or self._identity is None:
            return
        self._saved_at = time.monotonic()
        progress = self._progress
        done = progress.done_offsets()
        saved = _Saved(self._identity, progress.low, done, sorted(self.origins))
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(saved))
        draft.replace(self._path)

    def finish(self) -> None:
        """Remove the state. The next run begins at the start."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class SendStanding:
    """A connection's standing for `send`: its proven origins, and a person's pause.

    Proven origins are remembered with the file's lines, and in the event log of a router.toml.

    Args:
        state: the state of the file.
        log: the event log; None if there is none.
    """

    def __init__(self, state: SendState, log: StandingBook | None) -> None:
        self._state = state
        self._log = log

    async def standing(self, connection: str) -> Standing:
        """Read the proven origins."""
        if self._log is not None:
            self._state.origins |= (await self._log.standing(connection)).origins
        return Standing(origins=self._state.origins)

    async def order(self, connection: str) -> Order | None:
        """Read a person's latest order for the connection."""
        return None if self._log is None else await self._log.order(connection)

    async def keep(self, connection: str, standing: Standing) -> None:
        """Keep the proven origins."""
        self._state.origins |= standing.origins
        if self._log is not None:
            await self._log.keep(connection, standing)


@contextlib.contextmanager
def claimed_state(source: str, *purpose: Any) -> Iterator[SendState]:
    """Open the state of a file, and lock it during the block.

    Args:
        source: as `state_of`.
        purpose: as `state_of`.

    Raises:
        UsageError: another process sends it.
        OSError: there is no such file.
    """
    path = _state_path(source, purpose)
    if path is None:
        yield state_of(source, *purpose)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A byte of one file stands for each: there is nothing to tidy up, however a process ends.
    byte = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:7], "big")
    with open_private(path.parent.with_name("send.lock"), "ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            raise UsageError(
                f"another process sends {source} to this connection: wait for it, or end it"
            ) from None
        yield state_of(source, *purpose)


def state_of(source: str, *purpose: Any) -> SendState:
    """Find the state of a file.

    Args:
        source: as given to `send`. A stream has no state.
        purpose: identifies the run beside its file: connection, settings, origins.
    """
    state = _state_path(source, purpose)
    if state is None:
        return SendState(None, None)
    path = Path(source).resolve()
    about = path.stat()
    return SendState(state, _Identity(str(path), about.st_size, about.st_mtime_ns))


def _state_path(source: str, purpose: Sequence[Any]) -> Path | None:
    path = Path(source).resolve()
    if source == STANDARD_INPUT or path.is_fifo():
        return None
    path.stat()
    name = hashlib.sha256(msgspec.json.encode([str(path), purpose], order="deterministic"))
    return state_directory() / "send" / f"{name.hexdigest()[:32]}.json"


def state_directory() -> Path:
    """Find the folder for the user's data that outlives a command."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "destination-router"


def _load(path: Path) -> _Saved | Path | None:
    """Read a state file. Return its path if it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Saved)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE):
        return path
