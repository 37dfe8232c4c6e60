"""Files as people have them: each message counts once, or one sentence says what is wrong.

Modules: `reading.py`, `cutting.py`.
"""

import contextlib
import gzip
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections import deque
from pathlib import Path

import pytest
from command_line import run_command as run
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.files import reading
from destination_router.files.cutting import BOM
from destination_router.files.reading import BrokenOffError, read_lines

MESSAGES = [{"type": "track", "userId": "ada", "event": f"E{number}"} for number in range(3)]
ONE, TWO, THREE = (json.dumps(message) for message in MESSAGES)


def file_of(folder: Path, text: str | bytes) -> str:
    path = folder / "messages.jsonl"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_a_byte_order_mark_is_no_part_of_any_line(tmp_path: Path) -> None:
    """Files that Windows wrote may have been joined: the mark stands in the middle, then."""
    marked = b"".join(BOM + line.encode() + b"\r\n" for line in (ONE, TWO))
    assert [line.raw.decode() for line in read_lines(file_of(tmp_path, marked))] == [ONE, TWO]


FORMS = {
    "lines": f"{ONE}\n{TWO}\n{THREE}",
    "an array": json.dumps(MESSAGES),
    "an array, a message a line": f"[\n{ONE},\n{TWO},\n{THREE}\n]\n",
    "an indented array": json.dumps(MESSAGES, indent=2),
    "a batch": json.dumps({"sentAt": "x", "batch": MESSAGES, "context": {"batch": [{}]}}),
    "an indented batch": json.dumps({"batch": MESSAGES, "writeKey": None}, indent="\t"),
    "batches, one a line": f'{{"batch": [{ONE}, {TWO}]}}\n{{"batch": [{THREE}]}}\n',
    "an array of batches": json.dumps([{"batch": MESSAGES[:2]}, {"batch": MESSAGES[2:]}]),
    "indented objects": "\n".join(json.dumps(message, indent=4) for message in MESSAGES),
    "an indented one among lines": f"{ONE}\n{json.dumps(MESSAGES[1], indent=1)}\n{THREE}\n",
    "joined": ONE + TWO + THREE,
    "joined by blanks": f"{ONE} {TWO}\t{THREE}",
    "joined by a byte order mark": f"{ONE}\ufeff{TWO}\r\n\ufeff{THREE}",
    "joined files": f"{ONE}\n{TWO}{THREE}\n",
    "arrays, one a line": f"[{ONE}]\n[{TWO}, {THREE}]\n",
    "of a hand": f'{{ "type": "track", "userId": "ada",\n  "event": "E0" }}\n[{TWO}] {THREE}',
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "marked"])
@pytest.mark.parametrize("name", FORMS)
def test_whatever_holds_messages_without_doubt_is_read(
    *, name: str, mark: str, packed: bool, tmp_path: Path
) -> None:
    """Many never count as one, nor one as many, and each has a position of its own."""
    content = (mark + FORMS[name]).encode()
    read = list(read_lines(file_of(tmp_path, gzip.compress(content) if packed else content)))
    assert [json.loads(line.raw) for line in read] == MESSAGES
    assert len({line.number for line in read}) == len({line.message_id for line in read}) == 3
    assert [line.number for line in read] == sorted(line.number for line in read)


@pytest.mark.parametrize("name", FORMS)
def test_a_position_does_not_depend_on_how_much_is_read_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on finds each message where the one before left it."""
    path = file_of(tmp_path, FORMS[name])

    def found() -> list[tuple[int, bytes, int, int]]:
        return [(one.number, one.raw, one.line, one.nth) for one in read_lines(path)]

    whole = found()
    for size in (1, 2, 7, 50):
        monkeypatch.setattr(reading, "PIECE_BYTES", size)
        assert found() == whole


PARTS = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b" ",
            b"\n\n",
            BOM,
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b'"',
            b"\xff",
            b"x" * 40,
        ),
        *(part.encode() for part in (ONE, TWO + "\n", f"{THREE}\n", f'{{"batch": [{ONE}]}}\n')),
        json.dumps(MESSAGES, indent=1).encode(),
    ]
)


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(PARTS, max_size=12), block=st.sampled_from([8, 100, 128 * 1024]))
def test_whole_lines_are_read_as_pieces_would_be(parts: list[bytes], block: int) -> None:
    """The same messages in the same places, and the same end, however much comes at once."""

    def read() -> tuple[list[tuple[int, bytes, str]], str]:
        told: list[tuple[int, bytes, str]] = []
        try:
            for line in read_lines(source):
                told.append((line.number, line.raw, line.place))  # noqa: PERF401 -- it may break off
        except BrokenOffError as error:
            return told, str(error)
        return told, ""

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        source = file_of(Path(folder), b"".join(parts))
        patch.setattr(reading, "_BLOCK_BYTES", block)
        quick = read()
        patch.setattr(reading._Pieces, "whole_lines", lambda _: deque())
        assert quick == read()


def test_a_place_is_a_line_and_a_count_within_it(tmp_path: Path) -> None:
    """People find a message by it, also after a line that holds several."""
    path = file_of(
        tmp_path, f"{ONE}\n\n{TWO}{THREE}\n{ONE}\n{json.dumps(MESSAGES, indent=1)}\n{TWO}"
    )
    read = list(read_lines(path))
    assert [line.place for line in read] == [
        *("line 1", "line 3", "line 3, message 2", "line 4"),
        *("line 6", "line 11", "line 16", "line 22"),
    ]
    assert [line.number for line in read] == [1, 3, 4, 5, 6, 11, 16, 22]
    assert [line.place_json for line in read[1:3]] == [{"line": 3}, {"line": 3, "nth": 2}]


def test_commands_tell_the_place(tmp_path: Path) -> None:
    """In words and as JSON."""
    path = file_of(tmp_path, json.dumps([MESSAGES[0], {"type": "track"}]))
    told = run("try", "heap", "--set", "appId=11", path)
    assert (told.returncode, "line 1, message 2  track" in told.stdout) == (1, True)
    shown = run("try", "heap", "--set", "appId=11", "--json", path).stdout.splitlines()
    assert [json.loads(row).get("nth") for row in shown] == [None, 2]


@pytest.mark.parametrize(
    ("text", "before", "line"),
    [
        (f"[{ONE}, {TWO}, {THREE[:-9]}", [ONE, TWO], 1),
        (f"[\n{ONE},\n{TWO} {THREE}]\n", [ONE], 3),
        (f"[\n{ONE},\n{TWO},\n", [ONE, TWO], 4),
        (f'{{"batch": [{ONE}, {TWO}, {{"a": "\n"}}]}}', [ONE, TWO], 1),
        (f'{{"batch": [{ONE}, {TWO}], oops}}', [ONE, TWO], 1),
        (ONE + TWO + '{"a": ]}' + THREE, [ONE, TWO], 1),
        (f"{ONE}\n{json.dumps(MESSAGES[1], indent=1)[:-2]}\n{THREE}\n", [ONE], 6),
        (f"{ONE}\n{json.dumps(MESSAGES[1], indent=1)[:-20]}", [ONE], 4),
    ],
)
def test_where_damage_leaves_a_doubt_the_file_ends(
    text: str, before: list[str], line: int, tmp_path: Path
) -> None:
    """What came before is read, and one sentence names the line and the cause."""
    path = file_of(tmp_path, text)
    read = []
    with pytest.raises(BrokenOffError) as told:
        read.extend(line.raw.decode() for line in read_lines(path))
    lines = read_lines(path)
    assert [next(lines).raw.decode() for _ in before] == before
    with pytest.raises(BrokenOffError):
        next(lines)
    assert str(told.value).startswith(f"{path}, line {line}: ")
    assert "it ends here" in str(told.value) or f"jq empty {path}" in str(told.value)


@pytest.mark.parametrize("rest", [" oops", ",", "]", '"a', " 1"])
def test_what_stands_after_several_messages_of_a_line_is_rejected_alone(
    rest: str, tmp_path: Path
) -> None:
    """It does not disappear, and the next line is read."""
    read = list(read_lines(file_of(tmp_path, f"[{ONE}, {TWO}]{rest}\n{THREE}\n")))
    assert [line.raw.decode() for line in read] == [ONE, TWO, rest.strip(), THREE]
    assert [line.place for line in read][2:] == ["line 1, message 3", "line 2"]


@pytest.mark.parametrize(
    "text",
    ['{"batch": [], "type": "track"}', '{"type": "track", "batch": [{"a": 1}]}', '{"batch": 1}'],
)
def test_a_message_with_a_member_called_batch_is_one(text: str, tmp_path: Path) -> None:
    """Only a list of objects in something that is no message itself is a batch."""
    (line,) = read_lines(file_of(tmp_path, text))
    assert line.raw.decode() == text


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[1]",
        "{]",
        '{"batch": 1}',
        '{"batch": []}',
        "[{",
        '[{"a": 1}',
        '[{"a": 1}, oops]',
        '[{"a": 1}, {"b": 2}',
        '{"type": "track", "properties": {"a": 1}',
        '{"type": "track", "properties": {"a": [',
        '{"type": "track", "event":',
        '{"type": "track", "event": "E',
        '{"type": "track",',
        "[]{",
        '{"type": "track", "event": "a} {b"}',
        '{"a": 1}}{',
        "[" * 9999,
    ],
)
def test_a_line_that_is_merely_wrong_is_one_line(line: str, tmp_path: Path) -> None:
    """It is rejected by its number, and its neighbours are read."""
    read = list(read_lines(file_of(tmp_path, f"{ONE}\n{line}\n{THREE}\n")))
    assert [one.raw.decode() for one in read] == [ONE, line, THREE]


@pytest.mark.parametrize(
    ("opening", "between"),
    [("[", ", "), ('{"batch": [', ","), ("", ""), ("", " ")],
    ids=["an array", "a batch", "joined", "joined by blanks"],
)
def test_no_more_than_the_message_at_hand_is_held(
    opening: str, between: str, tmp_path: Path
) -> None:
    """A file may be of any size: one line of 30 MB is read in little memory, to where it ends."""
    item = json.dumps({**MESSAGES[0], "properties": {"a": ["x" * 900, {"b": '"}{['}]}})
    path = file_of(tmp_path, opening + (item + between) * 30_000)
    tracemalloc.start()
    try:
        count = 0
        with contextlib.suppress(BrokenOffError):
            for line in read_lines(path):
                count += line.raw.decode() == item
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 30_000
    assert most < 4_000_000


@pytest.mark.parametrize(
    "odd",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "[" * 99 + "1" * 10**6 + "]" * 99,
    ],
    ids=["lists", "objects", "digits"],
)
def test_a_message_that_is_too_deep_is_one_message(odd: str, tmp_path: Path) -> None:
    """It is for the pipeline to reject, and its neighbours are read."""
    path = file_of(tmp_path, f'[{ONE}, {{"a": {odd}}}, {THREE}]')
    assert [line.raw.decode() for line in read_lines(path)] == [ONE, f'{{"a": {odd}}}', THREE]
    done = run("try", "heap", "--set", "appId=11", path)
    assert (done.returncode, done.stdout.count("1 request")) == (1, 2)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a": [' * 50_000, '[{"a": ' * 50_000])
def test_a_line_that_opens_much_and_closes_nothing_is_one_line(line: str, tmp_path: Path) -> None:
    """What comes after it does not fit into it, which the next lines show."""
    read = list(read_lines(file_of(tmp_path, f"{line}\n{ONE}\n{TWO}\n{line}\n{THREE}\n")))
    assert [one.raw.decode() for one in read] == [line.strip(), ONE, TWO, line.strip(), THREE]


def test_messages_of_an_array_that_is_still_written_are_given(tmp_path: Path) -> None:
    """A stream is no file: whoever sends does not wait for its end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = "import sys; o = open(sys.argv[1], 'w'); o.write(sys.argv[2]); o.flush(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, pipe, f"[{ONE},\n{TWO},\n{THREE},\n"], stdin=subprocess.PIPE
    ) as writer:
        lines = read_lines(str(pipe))
        assert [next(lines).raw.decode() for _ in range(3)] == [ONE, TWO, THREE]
        writer.communicate(b"\n")
        with pytest.raises(BrokenOffError, match="line 4: it ends here"):
            next(lines)


def test_a_byte_order_mark_in_front_of_a_configuration_is_no_part_of_it(tmp_path: Path) -> None:
    """Whatever people write by hand: a router.toml, settings, an export."""
    settings = tmp_path / "settings.json"
    settings.write_bytes(BOM + b'{"appId": "11"}')
    path = file_of(tmp_path, ONE)
    assert run("try", "heap", "--settings", settings, path).returncode == 0
    config = tmp_path / "router.toml"
    config.write_bytes(
        BOM + b'[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = {appId = "11"}\n'
    )
    assert run("try", "--config", config, path).returncode == 0
    export = tmp_path / "export.json"
    export.write_bytes(BOM + json.dumps({"name": "Heap", "settings": {"appId": "11"}}).encode())
    assert "is not JSON" not in run("import", "segment", export).stderr
