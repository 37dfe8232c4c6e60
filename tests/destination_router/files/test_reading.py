"""Files as people have them: each message counts once, or one sentence says how to mend it."""

import json
from pathlib import Path

import pytest
from command_line import run_command as run

from destination_router.faults import UsageError
from destination_router.files.reading import BOM, BrokenOffError, read_lines

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


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (json.dumps(MESSAGES[0], indent=2), "jq -c . "),
        (json.dumps(MESSAGES, indent=1), "jq -c '.[]' "),
        (json.dumps(MESSAGES), "jq -c '.[]' "),
        (json.dumps({"batch": MESSAGES}), "jq -c '.batch[]' "),
        (ONE + TWO, "jq -c . "),
        (f"{ONE} {TWO}", "jq -c . "),
    ],
    ids=["indented", "indented array", "array", "batch", "joined", "joined with a blank"],
)
def test_what_is_no_line_is_told_with_the_command_that_mends_it(
    text: str, command: str, tmp_path: Path
) -> None:
    """Many messages never count as one, nor one as many; nothing is sent before it is mended."""
    path = file_of(tmp_path, text)
    with pytest.raises(UsageError, match="a message a line") as told:
        list(read_lines(path))
    assert command + path in str(told.value)
    done = run("try", "heap", "--set", "appId=11", path)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "line", [ONE + TWO, json.dumps(MESSAGES[0], indent=1), json.dumps(MESSAGES), '{"batch": [{}]}']
)
def test_the_same_further_down_ends_the_file_there(line: str, tmp_path: Path) -> None:
    """What came before is read, and the sentence names the line."""
    lines = read_lines(file_of(tmp_path, f"{ONE}\n{line}\n{THREE}\n"))
    assert next(lines).raw.decode() == ONE
    with pytest.raises(BrokenOffError, match=r"line 2: .*jq -c"):
        next(lines)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[1]",
        "{]",
        '{"batch": 1}',
        '{"type": "track", "event": "a} {b"}',
        '{"a": 1}}{',
        "[" * 9999,
    ],
)
def test_a_line_that_is_merely_wrong_is_one_line(line: str, tmp_path: Path) -> None:
    """It is rejected by its number, and its neighbours are read."""
    read = list(read_lines(file_of(tmp_path, f"{ONE}\n{line}\n{THREE}\n")))
    assert [one.raw.decode() for one in read] == [ONE, line, THREE]


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
