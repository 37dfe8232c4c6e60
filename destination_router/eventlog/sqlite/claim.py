"""Lets one process at a time deliver from a log: two would send twice and out of order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from destination_router.eventlog.interface import LogFileError
from destination_router.private_files import open_private

_LOOKED_AT = 0.5
"""How long a process that only looks whether a lock is taken may hold it, in seconds."""

ORPHANS_END = 10.0
"""Within how many seconds the workers of a process end that was killed; until then they hold the
lock, which they have from it."""


_UNNUMBERED = b"a process that no signal reloads\n"


class LogInUseError(LogFileError):
    """Another process delivers from the log."""


@contextlib.contextmanager
def claim(path: Path, *, delivers: bool = False, reloads: bool = False) -> Iterator[int]:
    """Claim the delivery from the log at a path during a block.

    The claim is a lock on the file `<log>.workers`, beside the target of a symbolic link. It ends
    with the process, however that ends. `open_file` refuses all hard links.

    A process that inherits the descriptor also has the claim, which ends with the last of them.

    Args:
        path: the log's path.
        delivers: whether the process delivers; if not, it only keeps others out for a while.
        reloads: whether it delivers and reloads at a signal (`claimant`), which would end another.

    Yields:
        The descriptor of the lock.

    Raises:
        LogInUseError: another process has it.
        OSError: the file cannot be made.
    """
    lock = _lock_of(path)
    try:
        with open_private(lock, "ab") as held:
            _lock(lock, held.fileno(), patience=_LOOKED_AT if delivers or reloads else 0.0)
            held.truncate(0)
            if reloads:
                held.write(b"%d\n" % os.getpid())
            elif delivers:
                held.write(_UNNUMBERED)
            held.flush()
            yield held.fileno()
    except BlockingIOError:
        raise LogInUseError(
            f"{path}: another process delivers from this log already; end it first, or start this "
            "one with --gateway-only"
        ) from None


def _lock(path: Path, file: int, patience: float) -> None:
    """Lock a file. If `claimant` only looks at it, it is free again in a moment."""
    begun = time.monotonic()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            longest = ORPHANS_END if _has_orphans(path) else patience
            if time.monotonic() - begun >= longest:
                raise
            time.sleep(_LOOKED_AT / 50)
        else:
            return


def _has_orphans(path: Path) -> bool:
    """Whether the process that took a lock is gone, and its children still have it."""
    try:
        return _is_gone(int(path.read_bytes()))
    except (OSError, ValueError):  # there is no number
        return False


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False


def claimant(path: Path) -> int | None:
    """Return the process that delivers from a log and can reload; None if there is none.

    There is also none if it was killed and its workers still have the claim.
    """
    text = _claimed_by(path)
    if text is None or not text.isdigit():
        return None
    process = int(text)
    return None if _is_gone(process) else process


def is_delivered_from(path: Path) -> bool:
    """Say whether a process delivers from a log, whether it can reload or not."""
    return bool(_claimed_by(path))


def _claimed_by(path: Path) -> bytes | None:
    """Read what the process that delivers wrote about itself; None if there is none."""
    try:
        with _lock_of(path).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read(20).strip()
    except OSError:
        pass
    return None


def _lock_of(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(f"{real.name}.workers")
