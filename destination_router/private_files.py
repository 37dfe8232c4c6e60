"""Files that only their owner can read, from the moment they are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path, mode: str) -> BinaryIO:
    """Open a file for writing; one that is made can be read by its owner alone.

    Args:
        path: the file.
        mode: `wb`, `ab`, or `xb`: it must not be there yet.

    Raises:
        OSError: it cannot be opened, or is there already.
    """
    return open(path, mode, opener=_for_the_owner)  # type: ignore[return-value]


def replace_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is on disk when this returns."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open_private(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _for_the_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
