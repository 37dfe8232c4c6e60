"""Messages from files: one JSON object a line, plain or gzipped, or from standard input."""

from __future__ import annotations

import gzip
import hashlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

STANDARD_INPUT = "-"
_BOM = b"\xef\xbb\xbf"


class Line(msgspec.Struct, frozen=True):
    """One message of a file.

    Attributes:
        number: from 1.
        raw: its JSON.
        message_id: what to call it if it has no `messageId`: the same in every run over the file.
    """

    number: int
    raw: bytes
    message_id: str


def read_lines(source: str) -> Iterator[Line]:
    """Read messages as they come; blank lines are passed over.

    Args:
        source: a path, one that ends in `.gz`, or `-` for standard input.

    Raises:
        OSError: it cannot be read, or is not gzip though it is called so.
    """
    with _open(source) as stream:
        for number, raw in enumerate(stream, start=1):
            content = raw.removeprefix(_BOM).strip() if number == 1 else raw.strip()
            if content:
                yield Line(number, content, _line_id(number, content))


def _open(source: str) -> BinaryIO:
    if source == STANDARD_INPUT:
        return sys.stdin.buffer
    path = Path(source)
    return cast("BinaryIO", gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _line_id(number: int, content: bytes) -> str:
    """Name a line by its place and content: two equal lines are two messages."""
    digest = hashlib.sha256(b"%d:%b" % (number, content)).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
