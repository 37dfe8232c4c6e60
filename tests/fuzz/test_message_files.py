"""Whatever a file of messages holds, it is read or refused: many never count as one.

Modules: `files/cutting.py`, `files/reading.py`.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nonsense import TROUBLE, damaged, json_like

from destination_router.faults import UsageError
from destination_router.files import reading
from destination_router.files.cutting import BOM, PIECE_BYTES
from destination_router.files.reading import BrokenOffError, Line, read_lines

Message = dict[str, Any]

MARK = "\ufeff"
NAMES = ["type", "userId", "properties", "batch", "a", "", "}{", "[", '"']
texts = st.one_of(st.text(max_size=8), st.sampled_from(NAMES))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(width=16), texts)
messages = json_like(NAMES, scalars).map(lambda value: {"type": "track", "properties": value})


def _plain(message: Message) -> str:
    return json.dumps(message, ensure_ascii=False)


def _joined(between: str) -> Callable[[Sequence[Message]], str]:
    return lambda found: between.join(map(_plain, found))


FORMS: dict[str, Callable[[Sequence[Message]], str]] = {
    "lines": _joined("\n"),
    "lines of Windows": _joined(f"\r\n{MARK}"),
    "joined": _joined(""),
    "joined by blanks": _joined(" \t"),
    "joined by a mark": _joined(MARK),
    "indented objects": lambda found: "\n".join(json.dumps(one, indent=2) for one in found),
    "an array": json.dumps,
    "an array, a message a line": lambda found: "[\n" + ",\n".join(map(_plain, found)) + "\n]",
    "an indented array": lambda found: json.dumps(found, indent=1),
    "a batch": lambda found: json.dumps({"sentAt": "x", "batch": found, "context": {}}),
    "an indented batch": lambda found: json.dumps({"batch": found}, indent="\t"),
    "batches": lambda found: "\n".join(json.dumps({"batch": [one]}) for one in found),
    "arrays": lambda found: "\n".join(json.dumps([one]) for one in found),
}
HOSTILE = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))


def _read(content: bytes, piece: int = PIECE_BYTES) -> tuple[list[Line], str]:
    """Read a file; gives its messages, and the sentence with which it is broken off, if it is."""
    read: list[Line] = []
    with tempfile.TemporaryDirectory() as folder, patch.object(reading, "PIECE_BYTES", piece):
        path = Path(folder) / "messages"
        path.write_bytes(content)
        try:
            read.extend(read_lines(str(path)))
        except (BrokenOffError, UsageError) as error:
            return read, str(error)
    return read, ""


def _value(raw: bytes) -> Any:
    """Decode a message; None where it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(raw)
    return None


@HOSTILE
@given(
    st.lists(messages, min_size=1, max_size=6),
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(["", MARK]),
    st.sampled_from([1, 2, 7, 50, PIECE_BYTES]),
)
def test_every_form_gives_the_messages_that_were_written(
    found: list[Message], form: str, mark: str, piece: int
) -> None:
    """Each once, in order, each with a number of its own; however much is read at once."""
    read, refused = _read((mark + FORMS[form](found)).encode("utf-8", "surrogatepass"), piece)
    assert not refused
    assert [json.dumps(_value(line.raw)) for line in read] == [json.dumps(one) for one in found]
    numbers = [line.number for line in read]
    assert numbers == sorted(set(numbers))


@HOSTILE
@given(st.lists(messages, min_size=1, max_size=5), st.sampled_from(sorted(FORMS)), st.data())
def test_whatever_is_damaged_is_read_or_refused_in_words(
    found: list[Message], form: str, data: st.DataObject
) -> None:
    """What is read is one message, or one line that is rejected: it never spans its neighbours."""
    content = data.draw(damaged(FORMS[form](found).encode("utf-8", "surrogatepass")))
    read, refused = _read(content, data.draw(st.sampled_from([1, 13, PIECE_BYTES])))
    for line in read:
        assert line.raw.strip()
        assert line.raw in content or line.raw in content.replace(BOM, b"")
    assert len({line.number for line in read}) == len(read)
    assert not refused or len(refused) < 500


troubles = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(TROUBLE),
    st.sampled_from([b"{", b"[", b"}", b"]", b",", b":", b'"', b'{"batch": [', b'{"a": [{"b":']),
).map(lambda piece: piece.replace(b"\n", b""))


@HOSTILE
@given(st.integers(0, 4), st.data())
def test_a_line_that_is_damaged_takes_no_neighbour_along(at: int, data: st.DataObject) -> None:
    """Each line of the others is a message of its own, or the file ends with a sentence."""
    lines = [_plain({"type": "track", "userId": f"u{at}", "event": "E"}) for at in range(5)]
    whole = [line.encode() for line in lines]
    odd = whole[at]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(odd)))
        end = min(len(odd), start + data.draw(st.integers(0, 20)))
        odd = odd[:start] + data.draw(troubles) + odd[end:]
    read, refused = _read(b"\n".join([*whole[:at], odd, *whole[at + 1 :]]))
    raws = [line.raw for line in read]
    others = [line for index, line in enumerate(whole) if index != at]
    kept = [raw for raw in raws if raw in others]
    assert kept == others or (refused and kept == others[: len(kept)]), (raws, refused)
    for raw in raws:
        assert raw in others or not any(line in raw for line in others), raw


SMALL = 4096
"""A piece, and a block, so that a bound shows in a file that is read quickly."""


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(st.lists(messages, min_size=3, max_size=20), st.sampled_from(sorted(FORMS)), st.data())
def test_memory_is_bounded_by_the_message_at_hand(
    found: list[Message], form: str, data: st.DataObject
) -> None:
    """And by the file where damage makes all the rest of it one."""
    longest = max(len(_plain(one).encode("utf-8", "surrogatepass")) for one in found)
    many = found * (150_000 // sum(len(_plain(one)) for one in found) + 1)
    content = FORMS[form](many).encode("utf-8", "surrogatepass")
    is_damaged = data.draw(st.booleans())
    if is_damaged:
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(troubles) + content[at:]
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(reading, "PIECE_BYTES", SMALL),
        patch.object(reading, "_BLOCK_BYTES", SMALL),
    ):
        path = Path(folder) / "messages"
        path.write_bytes(content)
        tracemalloc.start()
        try:
            count = 0
            with contextlib.suppress(BrokenOffError):
                count = sum(1 for _ in read_lines(str(path)))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert is_damaged or count == len(many)
    assert most < 60_000 + (4 * len(content) if is_damaged else 20 * longest)
