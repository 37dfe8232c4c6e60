"""Messages of several megabytes: what is read and not yet done is bounded by bytes, too.

Modules: `file_source.py`, `line_sources.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from destination_router.files import file_source, line_sources
from destination_router.files.file_source import FileSource
from destination_router.files.line_sources import LineSource, Stream, line_source
from destination_router.files.reading import Line, read_lines
from destination_router.files.resuming import SendState

COUNT = 20
SIZE = 400
"""The bytes of each message, about: a few go into what is allowed here."""

AT_ONCE = 1000
OUT = 2000


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 32 MiB were a thousand bytes."""
    monkeypatch.setattr(line_sources, "MOST_BYTES", AT_ONCE)
    monkeypatch.setattr(file_source, "MOST_BYTES_OUT", OUT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of large messages."""
    message = {"type": "track", "userId": "u", "event": "E", "properties": {"text": "x" * SIZE}}
    lines = (json.dumps({**message, "messageId": f"m{n}"}) + "\n" for n in range(COUNT))
    path = tmp_path / "large.jsonl"
    path.write_text("".join(lines))
    return path


async def all_of(lines: LineSource) -> list[list[int]]:
    taken = []
    while not lines.ended:
        taken.append([len(line.raw) for line in await lines.take(COUNT)])
    return taken


def assert_few_at_once(taken: list[list[int]]) -> None:
    """Nothing is missing, and no more than one message goes beyond the bound."""
    assert sum(map(len, taken)) == COUNT
    assert all(sum(sizes[:-1]) < AT_ONCE for sizes in taken)


def test_a_file_gives_few_large_messages_at_once(path: Path) -> None:
    """However many are asked for."""
    taken = asyncio.run(all_of(line_source(str(path))))
    assert_few_at_once(taken)
    assert len(taken) > COUNT * SIZE / AT_ONCE / 2


def test_a_stream_is_read_few_large_messages_ahead(path: Path) -> None:
    """Its thread waits until somebody takes what it has read."""
    read = taken = most = 0

    def counted() -> Iterator[Line]:
        nonlocal read, most
        for line in read_lines(str(path)):
            read += 1
            most = max(most, read - taken)
            yield line

    async def take_slowly() -> list[list[int]]:
        nonlocal taken
        stream, sizes = Stream(counted()), []
        while not stream.ended:
            sizes.append([len(line.raw) for line in await stream.take(1)])
            taken += len(sizes[-1])
        return sizes

    assert_few_at_once(asyncio.run(take_slowly()))
    assert most <= AT_ONCE // SIZE + 3  # one beyond the bound, one that waits, one being taken


def test_no_more_is_read_while_much_is_not_done(path: Path) -> None:
    """Whoever asks for more gets it when what he has is committed."""

    async def read() -> None:
        source = FileSource(line_source(str(path)), SendState(None, None))
        out: list[int] = []
        while len(out) * SIZE < OUT:
            out += [event.offset for event in await source.read("heap", -1, COUNT)]
        assert len(out) < COUNT
        reading = asyncio.create_task(source.read("heap", -1, COUNT))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()
        await source.commit("heap", out)
        assert (await reading)[0].offset == out[-1] + 1

    asyncio.run(read())
