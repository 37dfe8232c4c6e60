"""Messages from files: one JSON object a line, plain or gzipped, or from standard input."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import shlex
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from destination_router.faults import UsageError

STANDARD_INPUT = "-"
BOM = b"\xef\xbb\xbf"
"""What Windows writes in front of a text, and what is left in the middle of joined files."""

_GZIP = b"\x1f\x8b"
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first (zstd -dc FILE), and give - for the file",
    b"\xfd7zXZ": "packed by xz: unpack it first (xz -dc FILE), and give - for the file",
    b"BZh": "packed by bzip2: unpack it first (bzip2 -dc FILE), and give - for the file",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xff\xfe": "text in UTF-16: write it in UTF-8",
    b"\xfe\xff": "text in UTF-16: write it in UTF-8",
}
"""How files begin that hold no line that could be read, and what to do with them."""
_HEAD_BYTES = max(map(len, _UNREADABLE))
_BLOCK_BYTES = 128 * 1024


class BrokenOffError(Exception):
    """A file that cannot be read to its end; the text names it and the line where it breaks off."""


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
        source: a path, or `-` for standard input; gzip is known by how it begins.

    Raises:
        OSError: it cannot be opened.
        UsageError: it is packed or written in a way that is not read here; begins with what is no
            line but JSON of several messages, or a part of one.
        BrokenOffError: it was read up to a line, and cannot be read further.
    """
    with _opened(source) as lines:
        for number, content in _each_alone(_contents(lines, source), source):
            yield Line(number, content, _line_id(number, content))


def _contents(lines: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    """Number the lines that are not blank, without the blanks around them."""
    number = 0
    try:
        for number, raw in enumerate(lines, start=1):
            if content := raw.removeprefix(BOM).strip():
                yield number, content
    except (OSError, EOFError, zlib.error) as error:
        raise BrokenOffError(f"{_named(source)}, line {number + 1}: {_cause(error)}") from error


def _each_alone(contents: Iterator[tuple[int, bytes]], source: str) -> Iterator[tuple[int, bytes]]:
    """Pass on lines that may be a message each.

    A bracket alone waits for the next line: it may be damaged, or open JSON of several lines.
    """
    first = True
    bracket: tuple[int, bytes] | None = None
    for number, content in contents:
        if bracket is not None:
            _refuse(_OPENED.get((bracket[1], content[:1])), bracket[0], source, first=first)
            yield bracket
            first, bracket = False, None
        if content in _BRACKETS:
            bracket = number, content
            continue
        _refuse(no_line(content), number, source, first=first)
        yield number, content
        first = False
    if bracket is not None:
        yield bracket


def _refuse(problem: str | None, number: int, source: str, *, first: bool) -> None:
    if problem is None:
        return
    named = "FILE" if source == STANDARD_INPUT else shlex.quote(source)
    mend = problem.replace("{}", named)
    if first:
        raise UsageError(f"{_named(source)}: {mend}")
    raise BrokenOffError(f"{_named(source)}, line {number}: {mend}")


def no_line(content: bytes) -> str | None:
    """Say what a line is that is no message of its own, and the command that mends it.

    Many messages must not count as one, nor one as many. What is merely damaged passes: it is
    rejected by its number.

    Args:
        content: the line, without blanks around it.

    Returns:
        A sentence in which `{}` stands for the file; None for a line that may be a message.
    """
    if content.startswith(b"["):
        held = _decoded(content)
        several = isinstance(held, list) and any(isinstance(item, dict) for item in held)
        return _ARRAY if several else None
    if not content.startswith(b"{"):
        return None
    if b'"batch"' in content:
        held = _decoded(content)
        return _BATCH if isinstance(held, dict) and isinstance(held.get("batch"), list) else None
    return _JOINED if _SEAM.search(content) and _several(content) else None


_ARRAY = "it is one JSON array: write a message a line (jq -c '.[]' {})"
_INDENTED = "its JSON goes over several lines: write a message a line (jq -c . {})"
_BATCH = "it holds whole batches: write a message a line (jq -c '.batch[]' {})"
_JOINED = "messages stand side by side in one line: write a message a line (jq -c . {})"
_BRACKETS = (b"{", b"[")
_OPENED = {(b"{", b'"'): _INDENTED, (b"[", b"{"): _ARRAY}
"""What a bracket alone means by how the next line begins."""
_SEAM = re.compile(rb"\}\s*\{")


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _several(content: bytes) -> bool:
    """Whether a line begins with a whole object, and goes on with the next."""
    try:
        text = content.decode()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return text[end:].lstrip().startswith("{")


def _named(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


def plain_size(source: str) -> int | None:
    """Say how many bytes a file's lines have; None where that is not known beforehand.

    Raises:
        OSError: there is no such file.
    """
    path = Path(source)
    if source == STANDARD_INPUT or not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(len(_GZIP)) == _GZIP else path.stat().st_size


@contextlib.contextmanager
def _opened(source: str) -> Iterator[Iterable[bytes]]:
    with contextlib.ExitStack() as held:
        # Not `sys.stdin`: Python cannot end while a thread waits in it for what may never come.
        where = sys.stdin.fileno() if source == STANDARD_INPUT else source
        stream = held.enter_context(open(where, "rb", closefd=source != STANDARD_INPUT))
        head = stream.read(_HEAD_BYTES)
        for beginning, problem in _UNREADABLE.items():
            if head.startswith(beginning):
                raise UsageError(f"{source}: it is {problem}")
        whole = io.BufferedReader(_Rejoined(head, stream), _BLOCK_BYTES)
        yield gzip.GzipFile(fileobj=whole) if head.startswith(_GZIP) else whole


class _Rejoined(io.RawIOBase):
    """A stream with the bytes in front that were read to see what it is; it need not be a file."""

    def __init__(self, head: bytes, rest: io.BufferedReader) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._head or self._rest.read1(len(buffer))
        self._head = b""
        buffer[: len(content)] = content
        return len(content)


def _cause(error: Exception) -> str:
    match error:
        case EOFError():
            return "it ends here, in the midst of its gzip data"
        case gzip.BadGzipFile() | zlib.error():
            return "from here on its gzip data is damaged"
        case _:
            return f"it cannot be read further ({getattr(error, 'strerror', None) or 'no reason'})"


def _line_id(number: int, content: bytes) -> str:
    """Name a line by its place and content: two equal lines are two messages."""
    digest = hashlib.sha256(b"%d:%b" % (number, content)).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
