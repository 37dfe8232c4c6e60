"""Cuts JSON that holds several messages, or one over several lines, into messages as it comes.

It reads an array, `{"batch": [...]}`, objects side by side, and indented ones. It keeps only the
current message in memory, so a file may have any size. It matches brackets without recursion, and
looks at each byte a bounded number of times. It does not check whether a message is valid. A
damaged line stays one line, so that its neighbours are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol, final

import msgspec

from destination_router.faults import UNDECODABLE

PIECE_BYTES = 256 * 1024
"""The bytes of a line that are read at once."""

BOM = b"\xef\xbb\xbf"
"""The byte-order mark, which Windows writes, also in the middle of joined files."""

_FITTING = 2
"""After this many fitting lines, the first was not damaged: others would not fit for long."""

_SKIPPED = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"[^"{}\[\]]*+)*+')
"""Everything up to a bracket or to an incomplete string."""
_STRING = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"')
_SCALAR = re.compile(rb'[^\s,:\]\[{}"]++')
_KNOWN = re.compile(rb"true|false|null|NaN|-?Infinity|-?[0-9][0-9.eE+-]*+")
"""Scalars, with those that Python and JavaScript write in place of JSON."""
_BLANKS = re.compile(rb"\s*+")
_GAP = re.compile(rb"(?:[ \t\r\f\v]|\xef\xbb\xbf)*+")
"""Separators between two messages of a line."""
_SEAM = re.compile(rb"\}(?:\s|\xef\xbb\xbf)*+\{")
_LINE = re.compile(rb"[^\n]*+\n|[^\n]++")
_OBJECT, _LIST, _COLON, _COMMA = b"{[:,"
_OPENED_BY = {ord("}"): _OBJECT, ord("]"): _LIST}

_ENDS = "it ends here, in the midst of its JSON"
_DAMAGED = (
    "from here on its JSON is damaged, and can no longer be told apart (jq empty FILE says where)"
)


class Source(Protocol):
    """Reads the lines of a file. A long one comes in several pieces."""

    @property
    def line(self) -> int:
        """The line number of the last piece."""

    def next(self, at_least: int = 0) -> bytes:
        """Read a line, or a piece of at least this size; nothing at the end."""

    def again(self, pieces: list[bytes], line: int) -> None:
        """Take pieces back. The first begins in this line."""


class Cut(msgspec.Struct, frozen=True):
    """One message.

    Attributes:
        line: the line that it begins in, from 1.
        nth: its number among those that begin in that line, from 1.
        raw: its JSON, or what should be.
    """

    line: int
    nth: int
    raw: bytes


@final
class Head(msgspec.Struct, rename="camel", gc=False):
    """The fields of a message that a file's reader needs. The decoder skips the others.

    What has a `batch` is not a message, but a batch of several.
    """

    message_id: Any = None
    received_at: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    batch: Any = msgspec.UNSET


_decode_head = msgspec.json.Decoder(Head).decode


class BrokenJsonError(Exception):
    """JSON is damaged from a line on."""

    def __init__(self, line: int, cause: str) -> None:
        super().__init__(cause)
        self.line = line


class _MisfitError(Exception):
    """The next text does not continue the JSON."""


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


def head_of(content: bytes) -> Head | None:
    """Read a line that is certainly one JSON object; None for any other.

    Args:
        content: without blanks around it.
    """
    try:
        return _decode_head(content)
    except UNDECODABLE:
        return None


def is_whole(content: bytes) -> bool:
    """Tell whether a line is certainly one message, or should be. `cut` decides about others.

    Args:
        content: without blanks around it.
    """
    if not content.startswith((b"{", b"[")):
        return True
    if not content.startswith(b"{") or not content.endswith(b"}"):
        return False
    return b'"batch"' not in content and _SEAM.search(content) is None


def cut(source: Source, first: bytes) -> Iterator[Cut]:
    """Cut the JSON that begins in a line into messages.

    Args:
        source: the rest. Afterwards, it is at the beginning of a line.
        first: the line, or its first piece.

    Raises:
        BrokenJsonError: after some messages the JSON is damaged, or ends.
    """
    return _Cutter(source, first).messages()


class _Cutter:
    """Reads as far as it needs. `_at` is its position in `_held`, which begins in `_line`.

    `_kept` goes back if this turns out to be one damaged line; None once that is impossible.
    """

    def __init__(self, source: Source, first: bytes) -> None:
        self._source = source
        self._held = bytearray(first)
        self._at = 0
        self._line = self._first_line = source.line
        self._kept: list[bytes] | None = [first]
        self._may_fit = 1 if first.removeprefix(BOM).strip() in (b"{", b"[") else _FITTING
        self._between = True
        self._ended = False
        self._before = 0
        self._last, self._nth = 0, 0

    def messages(self) -> Iterator[Cut]:
        """Yield the messages, once it is certain that this is not a damaged line."""
        first: Cut | None = None
        try:
            for message in self._messages():
                if self._kept is not None and first is None:
                    first = message
                    continue
                if first is not None:
                    yield first
                first = self._kept = None
                yield message
        except _MisfitError:
            yield from self._misfit(first)
        else:
            if first is not None:
                yield first

    def _misfit(self, first: Cut | None) -> Iterator[Cut]:
        if self._kept is not None:
            yield Cut(self._first_line, 1, self._one_line(b"".join(self._kept), self._first_line))
            return
        if first is not None:
            yield first
        here = self._line + self._held.count(b"\n", 0, self._at)
        if not self._between:
            raise BrokenJsonError(here, _ENDS if self._ended else _DAMAGED)
        yield self._placed(here, self._one_line(bytes(self._held[self._at :]), here))

    def _one_line(self, read: bytes, number: int) -> bytes:
        """Treat the rest of a line as one message, and give back the lines after it."""
        while b"\n" not in read and (piece := self._source.next(len(read))):
            read += piece
        line, _, rest = read.partition(b"\n")
        self._source.again(_LINE.findall(rest), number + 1)
        return line.removeprefix(BOM).strip()

    def _messages(self) -> Iterator[Cut]:
        while not self._is_line_end():
            is_list = self._holds_objects()
            _must(is_list or self._held[self._at] == _OBJECT)
            self._between = False
            yield from self._list() if is_list else self._object()
            self._between = True

    def _list(self) -> Iterator[Cut]:
        """Yield the items of a list."""
        ending = _COMMA
        while ending == _COMMA:
            self._at += 1
            self._pass_blanks()
            start = self._at
            self._pass_value()
            end = self._at
            ending = self._pass_blanks()
            _must(ending in b",]")
            yield from self._taken(start, end)
        self._at += 1

    def _object(self) -> Iterator[Cut]:
        """Yield an object, or the messages of its `batch`."""
        start = self._at
        is_batch = has_type = False
        self._at += 1
        ending = self._pass_blanks()
        while ending != ord("}"):
            name = self._pass_name()
            if name == b'"batch"' and not has_type and self._holds_objects():
                is_batch = True
                yield from self._list()
            else:
                self._pass_value()
            has_type = has_type or name == b'"type"'
            if is_batch:
                self._let_go(self._at)
            ending = self._pass_blanks()
            _must(ending in b",}")
            if ending == _COMMA:
                self._at += 1
                _must(self._pass_blanks() == ord('"'))
        self._at += 1
        if not is_batch:
            yield from self._taken(start, self._at)

    def _taken(self, start: int, end: int) -> Iterator[Cut]:
        """Yield a message, or those of a batch in a list, and release what came before."""
        line = self._line + self._held.count(b"\n", 0, start)
        raw = bytes(self._held[start:end])
        self._let_go(self._at)
        for message in _batch_of(raw) or [raw]:
            yield self._placed(line, message)

    def _placed(self, line: int, raw: bytes) -> Cut:
        self._nth = self._nth + 1 if line == self._last else 1
        self._last = line
        return Cut(line, self._nth, raw)

    def _let_go(self, end: int) -> None:
        self._line += self._held.count(b"\n", 0, end)
        del self._held[:end]
        self._at = 0

    def _holds_objects(self) -> bool:
        """Tell whether a list follows whose first item is an object."""
        start = self._at
        found = self._held[start] == _LIST
        if found:
            self._at += 1
            found = self._pass_blanks() == _OBJECT
            self._at = start
        return found

    def _pass_name(self) -> bytes:
        """Skip a member's name and its colon. A value follows."""
        start = self._at
        self._pass_string()
        name = bytes(self._held[start : self._at])
        _must(self._pass_blanks() == _COLON)
        self._at += 1
        self._pass_blanks()
        return name

    def _pass_value(self) -> None:
        if self._held[self._at] in b"{[":
            self._pass_brackets()
        elif self._held[self._at] == ord('"'):
            self._pass_string()
        else:
            self._pass_scalar()

    def _pass_brackets(self) -> None:
        """Skip an object or a list with everything in it. Refuse brackets in wrong places."""
        opened = bytearray()
        while True:
            bracket = self._held[self._at]
            if bracket in b"{[":
                allowed = b":" if opened[-1:] == b"{" else b"[,"
                _must(not opened or self._before in allowed)
                opened.append(bracket)
            else:
                _must(opened.pop() == _OPENED_BY[bracket])
            self._before = bracket
            self._at += 1
            if not opened:
                return
            self._pass_to_bracket()

    def _pass_to_bracket(self) -> None:
        while True:
            end = _end(_SKIPPED, self._held, self._at)
            if passed := self._held[self._at : end].rstrip():
                self._before = passed[-1]
            self._at = end
            if end < len(self._held) and self._held[end] != ord('"'):
                return
            _must(self._held.find(b"\n", end) < 0)  # a string ends in its line
            _must(self._more())

    def _pass_string(self) -> None:
        _must(self._held[self._at] == ord('"'))
        while (end := _end(_STRING, self._held, self._at)) < 0:
            _must(self._held.find(b"\n", self._at) < 0)
            _must(self._more())
        self._at = end

    def _pass_scalar(self) -> None:
        while (end := _end(_SCALAR, self._held, self._at)) == len(self._held):
            _must(self._more())
        _must(_KNOWN.fullmatch(self._held, self._at, max(end, self._at)) is not None)
        self._at = end

    def _pass_blanks(self) -> int:
        """Skip blanks and line ends, and return the next character."""
        while (end := _end(_BLANKS, self._held, self._at)) == len(self._held):
            self._at = end
            _must(self._more())
        self._at = end
        return self._held[end]

    def _is_line_end(self) -> bool:
        """Skip blanks, and tell whether the line or the file ends. Read no further."""
        while True:
            self._at = _end(_GAP, self._held, self._at)
            then = bytes(self._held[self._at : self._at + len(BOM)])
            if not BOM.startswith(then) or not self._more():  # a part of a mark is whole only then
                return then[:1] in (b"", b"\n")

    def _more(self) -> bool:
        if self._held.endswith(b"\n"):
            self._may_fit -= 1
            if self._may_fit < 0:
                self._kept = None
        piece = self._source.next(len(self._held) - self._at)
        if not piece:
            self._ended = True
            return False
        self._held += piece
        if self._kept is not None:
            self._kept.append(piece)
        return True


def _must(fits: bool) -> None:  # noqa: FBT001 -- it says what must be so
    if not fits:
        raise _MisfitError


def _end(pattern: re.Pattern[bytes], held: bytearray, start: int) -> int:
    """Find the end of a pattern's match; -1 if it does not match."""
    found = pattern.match(held, start)
    return -1 if found is None else found.end()


def _batch_of(raw: bytes) -> list[bytes]:
    """Cut a batch in a list. For any other message, return nothing."""
    if b'"batch"' not in raw or b'"type"' in raw.partition(b'"batch"')[0]:
        return []
    try:
        return [bytes(item) for item in msgspec.json.decode(raw, type=_Batch).batch]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
