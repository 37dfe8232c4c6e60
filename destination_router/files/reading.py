"""Messages from files, plain or gzipped, or from standard input.

A file holds one JSON object a line, or JSON of several messages that `cutting` takes apart.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shlex
import sys
import uuid
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from destination_router.faults import UsageError
from destination_router.files.cutting import (
    BOM,
    PIECE_BYTES,
    BrokenJsonError,
    Cut,
    Head,
    cut,
    head_of,
    is_whole,
)
from destination_router.pipeline.decoding import decode_root
from destination_router.pipeline.message_root import Root

STANDARD_INPUT = "-"

_GZIP = b"\x1f\x8b"
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first (zstd -dc FILE), and give - for the file",
    b"\xfd7zXZ": "packed by xz: unpack it first (xz -dc FILE), and give - for the file",
    b"BZh": "packed by bzip2: unpack it first (bzip2 -dc FILE), and give - for the file",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xff\xfe": "text in UTF-16: write it in UTF-8",
    b"\xfe\xff": "text in UTF-16: write it in UTF-8",
}
"""The beginnings of files that cannot be read, and what to do with each."""
_HEAD_BYTES = max(map(len, _UNREADABLE))
_BLOCK_BYTES = 128 * 1024
_MOST_DECODED = 4096
"""The bytes of a message that is decoded on the way: many wait like that, in several times as much
memory."""
_NO_LINES: deque[bytes] = deque()


class BrokenOffError(Exception):
    """A file breaks off. The text names it and the line."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One message of a file.

    Attributes:
        number: its position, from 1, the same in every run over the file. It is the number of its
        line, unless several messages begin in one line. Then each counts, so that no two have
        the same number.
        raw: its JSON.
        line: the number of the line that it begins in.
        nth: its number among the messages that begin in that line, from 1.
        head: its fields that were read on the way: all of them, or those that a file's reader
            needs; None: none were.
    """

    number: int
    raw: bytes
    line: int
    nth: int = 1
    head: Root | Head | None = None

    @property
    def message_id(self) -> str:
        """Its id if it has no `messageId`: the same in every run over the file."""
        return _line_id(self.number, self.raw)

    @property
    def place(self) -> str:
        """Its place, for people: `line 3`, `line 1, message 7`."""
        return f"line {self.line}" + (f", message {self.nth}" if self.nth > 1 else "")

    @property
    def place_json(self) -> dict[str, int]:
        """Its place, for programs."""
        return {"line": self.line} | ({"nth": self.nth} if self.nth > 1 else {})


def read_lines(source: str, *, decodes: bool = False) -> Iterator[Line]:
    """Read messages as they come, and skip blank lines.

    Args:
        source: a path, or `-` for standard input. gzip is recognised by its first bytes.
        decodes: whether to read all fields of a message on the way, for whoever decides about it.

    Raises:
        OSError: it cannot be opened.
        UsageError: its compression or format is not supported.
        BrokenOffError: it was read up to a line, and cannot be read further.
    """
    most = _MOST_DECODED if decodes else -1
    with _opened(source) as stream, _damage_told(source):
        pieces = _Pieces(stream, source)
        number = 0
        while True:
            lines = pieces.whole_lines()
            while lines:
                first = lines.popleft()
                content = first.strip()
                head: Root | Head | None = None
                if len(content) <= most:
                    head = decode_root(content)
                if head is None:  # else it is no batch: that has more at its root
                    head = head_of(content)
                    if head is None or head.batch is not msgspec.UNSET:
                        lines.appendleft(first)
                        break
                pieces.line = line = pieces.line + 1
                number = line if line > number else number + 1  # as nearly all
                yield Line(number, content, line, 1, head)
                lines = lines or pieces.whole_lines()
            if not (first := pieces.next()):
                return
            for one in _messages(pieces, first):
                number = max(number + 1, one.line)
                head = decode_root(one.raw) if len(one.raw) <= most else None
                yield Line(number, one.raw, one.line, one.nth, head)


@contextlib.contextmanager
def _damage_told(source: str) -> Iterator[None]:
    try:
        yield
    except BrokenJsonError as error:
        named = "FILE" if source == STANDARD_INPUT else shlex.quote(source)
        cause = str(error).replace("FILE", named)
        raise BrokenOffError(f"{_named(source)}, line {error.line}: {cause}") from error


def _messages(pieces: _Pieces, raw: bytes) -> Iterator[Cut]:
    """Take a line, or its first piece, for what it is: one message, or several, or none."""
    content = raw.removeprefix(BOM).strip()
    # A line may begin with more blanks than are read at once.
    while not raw.endswith(b"\n") and not content.startswith((b"{", b"[")):
        if not (piece := pieces.next(len(raw))):
            break
        raw += piece
        content = raw.removeprefix(BOM).strip()
    is_line = raw.endswith(b"\n") or not content.startswith((b"{", b"["))
    if not is_line or not is_whole(content):
        yield from cut(pieces, raw)
    elif content:
        yield Cut(pieces.line, 1, content)


class _Pieces:
    """A stream's lines, and pieces of long ones.

    Args:
        stream: to read from.
        source: what people call it.
    """

    def __init__(self, stream: io.BufferedIOBase, source: str) -> None:
        self._stream = stream
        self._source = source
        self._again: deque[bytes] = deque()
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._is_whole = True
        self._has_ended = False
        self.line = 0

    def whole_lines(self) -> deque[bytes]:
        """Get the next lines if that takes no waiting for the rest of one.

        Whoever takes one out counts `line` up: there are many, and a call for each costs.
        """
        if self._again:
            return _NO_LINES
        if not self._lines and self._is_whole:
            self._take_in_block()
        return self._lines

    def next(self, at_least: int = 0) -> bytes:
        """Read a line, or a piece of one."""
        if self._again:
            piece = self._again.popleft()
        elif self._lines:
            piece = self._lines.popleft()
        else:
            piece = self._rest + self._read_line(max(at_least, PIECE_BYTES) - len(self._rest))
            self._rest = b""
        if self._is_whole and piece:
            self.line += 1
        self._is_whole = piece.endswith(b"\n") if piece else self._is_whole
        return piece

    def again(self, pieces: list[bytes], line: int) -> None:
        """Take pieces back, to read them again."""
        self._again.extendleft(reversed(pieces))
        self.line, self._is_whole = line - 1, True

    def _take_in_block(self) -> None:
        with self._broken_off():
            block = b"" if self._has_ended else self._stream.read1(_BLOCK_BYTES)
        self._has_ended = not block
        # C's search for the ends of lines: `split` looks at each byte.
        lines = io.BytesIO(block).readlines()
        if self._rest:  # the beginning of the first one: not joined to the block, a copy of all
            lines[:1] = [b"".join((self._rest, *lines[:1]))]
        self._rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
        self._lines += lines

    def _read_line(self, most: int) -> bytes:
        if self._has_ended:  # a terminal would have to be told again
            return b""
        with self._broken_off():
            return self._stream.readline(max(0, most))

    @contextlib.contextmanager
    def _broken_off(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            line = self.line + self._is_whole
            raise BrokenOffError(f"{_named(self._source)}, line {line}: {_cause(error)}") from error


def _named(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


def plain_size(source: str) -> int | None:
    """Count the bytes of a file's lines; None if that is unknown beforehand.

    Raises:
        OSError: there is no such file.
    """
    path = Path(source)
    if source == STANDARD_INPUT or not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(len(_GZIP)) == _GZIP else path.stat().st_size


@contextlib.contextmanager
def _opened(source: str) -> Iterator[io.BufferedIOBase]:
    with contextlib.ExitStack() as held:
        # Not `sys.stdin`: Python cannot end while a thread waits in it for what may never come.
        where = sys.stdin.fileno() if source == STANDARD_INPUT else source
        file = open(where, "rb", 0, closefd=source != STANDARD_INPUT)  # noqa: SIM115 -- closed below
        stream = held.enter_context(io.BufferedReader(file, _BLOCK_BYTES))
        head = stream.read(_HEAD_BYTES)
        for beginning, problem in _UNREADABLE.items():
            if head.startswith(beginning):
                raise UsageError(f"{source}: it is {problem}")
        whole: io.BufferedIOBase = stream
        if stream.seekable():
            stream.seek(-len(head), os.SEEK_CUR)
        else:
            whole = io.BufferedReader(_Rejoined(head, stream), _BLOCK_BYTES)
        yield gzip.GzipFile(fileobj=whole) if head.startswith(_GZIP) else whole


class _Rejoined(io.RawIOBase):
    """A stream with its first bytes put back, which were read to recognise its format."""

    def __init__(self, head: bytes, rest: io.BufferedIOBase) -> None:
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
    """Make an id of a line's place and content, so that equal lines are different messages."""
    digest = hashlib.sha256(b"%d:%b" % (number, content)).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
