"""Makes files that only their owner can read, from the first moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path, mode: str) -> BinaryIO:
    """Open a file for writing. Only the owner can read a new one.

    Args:
        path: the file.
        mode: `wb`, `ab`, or `xb`, for which it must not exist yet.

    Raises:
        OSError: it cannot be opened, or exists already.
    """
    return open(path, mode, opener=_for_the_owner)  # type: ignore[return-value]


def replace_private(path: Path, content: bytes) -> None:
    """Write a file completely or not at all. It is on disk when this returns."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open_private(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _for_the_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
