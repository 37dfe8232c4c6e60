"""Files that only their owner can read."""

import os
import stat
from pathlib import Path

from destination_router.private_files import open_private, replace_private


def test_a_file_is_its_owners_from_the_beginning(tmp_path: Path) -> None:
    """Whatever the process's mask lets others do."""
    mask = os.umask(0)
    try:
        with open_private(tmp_path / "a", "wb") as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    finally:
        os.umask(mask)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing else stays beside it."""
    path = tmp_path / "state"
    path.write_bytes(b"before")
    replace_private(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
