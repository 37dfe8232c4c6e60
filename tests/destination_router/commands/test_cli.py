"""The command line, as a person and as a program uses it.

Modules: `cli.py`, `try_.py`, `check.py`, `demo.py`, `plugins.py`, `schema.py`, and what they
share: `from_file.py`, `options.py`, `output.py`, `decision_output.py`; `demo/stage.py`,
`demo/traffic.py`.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from command_line import run_command as run
from waiting import PATIENCE

from destination_router import HttpRequest

HEAP = ("heap", "--set", "appId=11")
TRACK = {"type": "track", "userId": "ada", "messageId": "m1", "event": "Program Published"}


def try_heap(*messages: object, options: tuple[str, ...] = ()) -> list[dict[str, object]]:
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    done = run("try", *HEAP, *options, "--json", "-", stdin=lines)
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_try_prints_the_documented_shape() -> None:
    """`try --json` prints one object per message, in order, with these keys and no more."""
    done = try_heap(TRACK)
    assert done == [
        {
            "line": 1,
            "messageId": "m1",
            "result": "requests",
            "requests": [
                {
                    "method": "POST",
                    "url": "https://heapanalytics.com/api/track",
                    "params": {},
                    "headers": {},
                    "json": {
                        "app_id": "11",
                        "event": "Program Published",
                        "identity": "ada",
                        "properties": {},
                        "idempotency_key": "m1",
                    },
                }
            ],
            "reject": None,
            "reason": None,
            "notes": [],
        }
    ]


HOSTILE = [
    "{",
    "null",
    "[]",
    '"text"',
    "{}",
    '{"type": null}',
    '{"type": 5}',
    '{"type": "merge"}',
    '{"type": "track"}',
    '{"type": "track", "event": {}}',
    '{"type": "track", "userId": [1], "event": "e"}',
    '{"type": "track", "userId": "u", "event": "e", "properties": "text"}',
    '{"type": "track", "userId": "u", "event": "e", "properties": {"x": NaN}}',
    '{"type": "track", "userId": "u", "event": "e", "properties": {"x": "\\ud83d"}}',
    '{"type": "track", "userId": "u", "event": "e", "context": 7}',
    '{"type": "track", "userId": "u", "event": "e", "integrations": null}',
    '{"type": "identify", "userId": "NULL"}',
    '{"type": "track", "userId": "u", "event": "e", "properties": '
    + '{"a":' * 5000
    + "1"
    + "}" * 5000
    + "}",
    "[" * 100_000,
    '{"type": "track", "userId": "u", "event": "e", "properties": {"n": ' + "9" * 5000 + "}}",
]


def test_try_answers_every_hostile_message_without_a_traceback() -> None:
    """Each line gets an answer with a code, a reason or requests; none takes another down."""
    done = run("try", *HEAP, "--json", "-", stdin="\n".join([*HOSTILE, json.dumps(TRACK)]))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert "Traceback" not in done.stderr
    assert len(answers) == len(HOSTILE) + 1
    assert answers[-1]["result"] == "requests"
    for answer in answers:
        assert set(answer) == {
            "line",
            "messageId",
            "result",
            "requests",
            "reject",
            "reason",
            "notes",
        }
        match answer["result"]:
            case "requests":
                assert answer["requests"]
            case "rejected":
                assert answer["reject"]["code"]
            case "filtered":
                assert answer["reason"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["try", *HEAP, "good.jsonl"], 0),
        (["try", *HEAP, "bad.jsonl"], 1),
        (["try", "heap", "good.jsonl"], 2),  # no appId
        (["try", "haep", "good.jsonl"], 2),
        (["try", *HEAP, "missing.jsonl"], 2),
        (["try", *HEAP, "good.jsonl", "bad.jsonl"], 2),
        (["try", "heap", "--set", "appId", "good.jsonl"], 2),
        (["try", "--config", "missing.toml", "good.jsonl"], 2),
        (["send", "heap", "--set", "appId=11", "--origin", "nonsense", "good.jsonl"], 2),
        (["send", *HEAP, "--origin", "https://heapanalytics.com=localhost:9", "good.jsonl"], 2),
        (["schema", "haep"], 2),
        (["plugins"], 0),
    ],
)
def test_exit_status(
    arguments: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0: all well; 1: a message was rejected or failed; 2: usage or configuration."""
    monkeypatch.chdir(tmp_path)
    Path("good.jsonl").write_text(json.dumps(TRACK))
    Path("bad.jsonl").write_text('{"type": "track", "userId": "u"}')
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    complaints = [line for line in done.stderr.splitlines() if " would be sent in " not in line]
    assert bool(complaints) == (status == 2)


def test_problems_name_the_field_and_a_way_out() -> None:
    """A wrong setting is told with its name and what to do, a wrong plugin with a near one."""
    assert "settings: appId: is required" in run("try", "heap", "-").stderr
    assert "did you mean region?" in run("try", *HEAP, "--set", "regoin=EU", "-").stderr
    assert "did you mean 'heap'?" in run("schema", "haep").stderr


def test_settings_come_from_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    """`--settings` takes JSON or TOML; `--set` comes after it."""
    path = tmp_path / "settings.toml"
    path.write_text('appId = "11"\nregion = "US"\n')
    options = ("--settings", str(path), "--set", "region=EU")
    done = run("try", "heap", *options, "--json", "-", stdin=json.dumps(TRACK))
    (request,) = json.loads(done.stdout)["requests"]
    assert request["url"] == "https://c.eu.heap-api.com/api/track"


def test_a_router_toml_stands_in_for_plugin_and_settings(tmp_path: Path) -> None:
    """`--config` needs `--connection` only where there are several."""
    path = tmp_path / "router.toml"
    one = '[[connections]]\nname = "{0}"\nplugin = "heap"\nsettings = {{appId = "{1}"}}\n'
    path.write_text(one.format("a", "1") + one.format("b", "2"))
    unclear = run("try", "--config", str(path), "--json", "-", stdin=json.dumps(TRACK))
    assert (unclear.returncode, "one of a, b" in unclear.stderr) == (2, True)
    options = ("--config", str(path), "--connection", "b", "--json")
    done = run("try", *options, stdin=json.dumps(TRACK))
    assert json.loads(done.stdout)["requests"][0]["json"]["app_id"] == "2"


def test_try_tells_a_person_what_was_changed(tmp_path: Path) -> None:
    """Plain text, with the request and every note, and no colour codes in a file."""
    path = tmp_path / "messages.jsonl"
    path.write_text(json.dumps(TRACK | {"properties": {"ok": True}}))
    done = run("try", *HEAP, str(path))
    text = done.stdout
    assert "line 1  track m1  1 request" in text
    assert "1 message: 1 would be sent in 1 request before packing" in done.stderr
    assert "POST https://heapanalytics.com/api/track" in text
    assert "converted properties.ok: a boolean became text" in text
    assert "\x1b" not in text


def test_a_router_toml_needs_no_write_key_to_be_tried(tmp_path: Path) -> None:
    """What sends nothing in reads no secret of the senders, and takes no plugin beside --config."""
    path = tmp_path / "router.toml"
    path.write_text(
        '[gateway]\nwrite_keys = [{env = "NOT_SET_ANYWHERE"}]\n'
        '[[connections]]\nname = "a"\nplugin = "heap"\nsettings = {appId = "1"}\n'
    )
    done = run("try", "--config", str(path), "--json", stdin=json.dumps(TRACK))
    assert done.returncode == 0, done.stderr
    misused = run("try", "heap", "--config", str(path), "messages.jsonl")
    assert misused.returncode == 2
    assert "give the file alone, without 'heap'" in misused.stderr


def test_a_rejection_stands_on_one_line(tmp_path: Path) -> None:
    """However long it is, so that grep finds it; its line number is the file's."""
    path = tmp_path / "messages.jsonl"
    path.write_text('\n\n{"type": "identify", "userId": "undefined"}\n{"type":\n')
    placeholder, cut = run("try", *HEAP, str(path)).stdout.splitlines()
    assert placeholder.startswith("line 3  identify ")
    assert placeholder.endswith("alone")
    assert cut.startswith("line 4  message ")
    assert "at character 9" in cut


@pytest.mark.parametrize("name", ["messages.jsonl.gz", "messages.jsonl", "-"])
@pytest.mark.parametrize("packed", [True, False])
def test_gzip_is_known_by_how_it_begins(tmp_path: Path, name: str, *, packed: bool) -> None:
    """What a file is called says nothing, and standard input may be packed, too."""
    plain = json.dumps(TRACK).encode()
    content = gzip.compress(plain) if packed else plain
    path = tmp_path / name
    path.write_bytes(content)
    done = run("try", *HEAP, "-", stdin=content) if name == "-" else run("try", *HEAP, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("line 1  track m1  1 request")


def test_the_first_bytes_of_a_stream_may_come_alone(tmp_path: Path) -> None:
    """A pipe that hands out one byte at a time is read like any other."""
    command = [sys.executable, "-m", "destination_router.commands.cli", "try", *HEAP, "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for byte in gzip.compress(json.dumps(TRACK).encode()):
            process.stdin.write(bytes([byte]))
        process.stdin.close()
        assert process.stdout.read().startswith(b"line 1  track m1  1 request")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x28\xb5\x2f\xfd rest", "packed by zstd: unpack it first"),
        (b"PK\x03\x04 rest", "a zip archive"),
        (json.dumps(TRACK).encode("utf-16"), "text in UTF-16: write it in UTF-8"),
    ],
)
def test_what_is_packed_otherwise_is_told_once(tmp_path: Path, content: bytes, words: str) -> None:
    """And not line by line, as so many messages that are none."""
    path = tmp_path / "messages"
    path.write_bytes(content)
    done = run("try", *HEAP, str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_file_that_breaks_off_is_looked_at_as_far_as_it_goes(tmp_path: Path) -> None:
    """The lines before the break are shown and summed up; the file and the line are named."""
    path = tmp_path / "messages.jsonl.gz"
    lines = b"".join(json.dumps(TRACK | {"n": n}).encode() + b"\n" for n in range(1000))
    path.write_bytes(gzip.compress(lines)[:-200])
    done = run("try", *HEAP, str(path))
    shown = len(done.stdout.split("\nline "))
    tally, complaint = done.stderr.splitlines()
    assert done.returncode == 1
    assert tally.startswith(f"{shown} messages: {shown} would be sent ")
    broken = f"{path}, line {shown + 1}: it ends here, in the midst of its gzip data"
    assert complaint == broken


def test_what_keeps_a_file_from_being_used_is_said_in_words(tmp_path: Path) -> None:
    """Whatever it is for: what is wrong with it, and no name of a Python exception."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.toml").write_bytes("# \xe4".encode("latin-1"))
    for name, words in (
        ("missing", f"there is no file {tmp_path}/missing"),
        ("nowhere/missing", f"there is no folder {tmp_path}/nowhere"),
        ("folder", f"{tmp_path}/folder is a folder"),
        ("latin.toml", f"{tmp_path}/latin.toml is not text in UTF-8, from byte 3 on"),
        ("latin.toml/x", f"{tmp_path}/latin.toml/x: what should be a folder"),
    ):
        path = str(tmp_path / name)
        commands = [
            ["try", "--config", path, "-"],
            ["check", "--config", path],
            ["try", "heap", "--settings", path, "-"],
        ]
        if name != "latin.toml":
            commands.append(["send", *HEAP, path])
        for command in commands:
            done = run(*command)
            assert (done.returncode, words in done.stderr) == (2, True), (command, done.stderr)


def test_the_version_is_printed() -> None:
    """For bug reports."""
    assert run("--version").stdout.split() == ["destination-router", version("heap-destination")]


def test_a_reader_may_leave_early(tmp_path: Path) -> None:
    """`try ... | head -1` ends quietly."""
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(json.dumps(TRACK | {"messageId": str(n)}) + "\n" for n in range(5000)))
    command = [sys.executable, "-m", "destination_router.commands.cli"]
    with subprocess.Popen(
        [*command, "try", *HEAP, "--json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=PATIENCE) == 1


@pytest.mark.parametrize("closed", [1, 2])
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["schema", "heap"], ["plugins", "--json"], ["check", "--config", "no-such-file"]],
    ids=" ".join,
)
def test_a_closed_stream_takes_what_is_written_to_it(arguments: list[str], closed: int) -> None:
    """The command ends as ever, and what goes to the other stream is the same."""

    def told(closing: str) -> tuple[int, dict[int, str]]:
        command = [sys.executable, "-m", "destination_router.commands.cli", *arguments]
        command = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, {1: done.stdout, 2: done.stderr}

    status, whole = told("")
    assert told(f"{closed}>&-") == (status, whole | {closed: ""})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands for a full disk")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["schema", "heap"]], ids=" ".join)
def test_output_to_a_full_disk_is_told(arguments: list[str], unbuffered: str) -> None:
    """In a line, if there is anywhere to tell it, and no file is said to be at fault."""

    def told(where: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "destination_router.commands.cli", *arguments]
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {where}', "sh", *command],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    assert told("> /dev/full") == (1, "standard output: no space left on device\n")
    assert told("> /dev/full 2>&1") == (1, "")


def test_send_delivers_a_gzipped_file(tmp_path: Path, heap_url: str) -> None:
    """Every message reaches the vendor; what does not is named by line, id and code."""
    path = tmp_path / "messages.jsonl.gz"
    messages = [
        {"type": "identify", "userId": "ada", "messageId": "m1", "traits": {"role": "author"}},
        {"type": "track", "userId": "ada", "messageId": "m2", "event": "Program Published"},
        {"type": "track", "userId": "ada", "messageId": "m3"},
        {"type": "alias", "userId": "ada", "messageId": "m4", "previousId": "visitor-1"},
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, messages)).encode()))
    origin = f"https://heapanalytics.com={heap_url}"
    done = run("send", *HEAP, "--origin", origin, "--json", str(path))
    assert done.returncode == 1
    assert "line 3 (m3): missing_event: event: name what the user did" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["messages"], summary["delivered"], summary["filtered"]) == (4, 2, 1)
    assert summary["rejected"] == {"missing_event": 1}
    (user,) = httpx.get(f"{heap_url}/_simulator/users").json()["users"]
    assert user["properties"] == {"role": "author"}


def test_two_equal_lines_are_two_messages(tmp_path: Path, heap_url: str) -> None:
    """A line without a messageId is named by its place: a second run adds nothing."""
    path = tmp_path / "messages.jsonl"
    line = json.dumps({"type": "track", "userId": "ada", "event": "Clicked"})
    path.write_text(f"{line}\n{line}\n")
    origin = f"https://heapanalytics.com={heap_url}"
    for _ in range(2):
        assert run("send", *HEAP, "--origin", origin, str(path)).returncode == 0
    assert len(httpx.get(f"{heap_url}/_simulator/events").json()["events"]) == 2


def test_demo_shows_what_heap_then_holds() -> None:
    """Ada arrives with her four traits, her events, her account; the unsafe id does not."""
    done = run("demo", "heap", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (user,) = told["held"]["users"]
    assert user["identity"] == "ada.lovelace@example.com"
    assert user["properties"] == {
        "email": "ada.lovelace@example.com",
        "name": "Ada Lovelace",
        "role": "mathematician",
        "specialty": "computer languages",
    }
    assert {event["event"] for event in told["held"]["events"]} == {
        "Program Published",
        "Page viewed",
        "Article Read",
    }
    (account,) = told["held"]["accounts"]
    assert account["properties"] == {"name": "Analytical Society", "members": 12}
    results = [(m["result"], (m["reject"] or {}).get("code")) for m in told["messages"]]
    assert results == [*[("requests", None)] * 5, ("rejected", "unsafe_identity")]


def test_demo_without_the_sdk_sends_the_same_and_says_what_to_install() -> None:
    """A wheel without extras is enough to look at it."""
    # The name alone proves nothing: an SDK that was uninstalled may leave its folder.
    hidden = "import sys; sys.modules['rudderstack.analytics'] = None"
    program = f"{hidden}; from destination_router.commands.cli import main; main()"
    command = [sys.executable, "-c", program, "demo", "heap", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "pip install 'heap-destination[demo]'" in done.stderr.replace("\n", " ")
    told = json.loads(done.stdout)
    assert {event["event"] for event in told["held"]["events"]} == {
        "Program Published",
        "Page viewed",
        "Article Read",
    }
    results = [(m["result"], (m["reject"] or {}).get("code")) for m in told["messages"]]
    assert sorted(results, key=str) == [
        ("rejected", "unsafe_identity"),
        *[("requests", None)] * 5,
    ]


# As a shell starts what runs in the background.
_INTERRUPTS_IGNORED = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_keeps_running_until_it_is_told_to_end(number: signal.Signals) -> None:
    """`--keep` leaves gateway and vendor up; Ctrl-C and SIGTERM end it well, wherever it runs."""
    command = [sys.executable, "-u", "-m", "destination_router.commands.cli"]
    with subprocess.Popen(
        [*_INTERRUPTS_IGNORED, *command, "demo", "heap", "--keep"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            words = process.stderr.readline().split()
            assert httpx.get(f"{words[-1]}/health").status_code == 200
            while "Ctrl-C" not in process.stderr.readline():
                pass
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
        finally:
            process.kill()


def test_try_shows_a_plugins_author_what_it_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--traceback` shows the words, on standard error; otherwise they may be a user's."""
    messages = tmp_path / "messages.jsonl"
    messages.write_text(json.dumps(TRACK) + "\n")

    def broken(*_: object) -> None:
        raise KeyError("the words of it")

    monkeypatch.setattr("heap_destination.plugin.record_track", broken)
    with_it = run("try", *HEAP, "--traceback", "--json", messages)
    without = run("try", *HEAP, "--json", messages)
    assert "KeyError: 'the words of it'" in with_it.stderr
    assert with_it.stdout == without.stdout
    assert "the words of it" not in without.stdout + without.stderr


def test_try_shows_a_body_of_bytes_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what stands in brackets, which is no markup."""
    messages = tmp_path / "messages.jsonl"
    messages.write_text(json.dumps(TRACK) + "\n")
    line = HttpRequest(url="https://v.example", content=b"[b]1[/b]\n", content_type="text/plain")
    monkeypatch.setattr("heap_destination.plugin.record_track", lambda *_: [line])
    told = run("try", *HEAP, messages).stdout
    assert "[b]1[/b]" in told
    assert '"Content-Type":"text/plain"' in told


def test_ctrl_c_ends_the_demo_with_one_word() -> None:
    """While the SDK sends, too: no traceback."""
    command = [sys.executable, "-u", "-m", "destination_router.commands.cli", "demo", "heap"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "gateway" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, told.strip()) == (1, "Interrupted.")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_demo_asks_no_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is on this machine, whatever the environment says of the world outside."""
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    done = run("demo", "heap", "--json")
    assert done.returncode == 0, done.stderr


def test_schema_prints_json_schema() -> None:
    """`schema` prints the plugin's settings schema for a program to read."""
    printed = json.loads(run("schema", "heap").stdout)
    assert printed["required"] == ["appId"]
    assert printed["additionalProperties"] is False


def test_schema_prints_the_fields_that_a_mapping_may_override() -> None:
    """`schema --fields` names each call's fields with their defaults, as a table or as JSON."""
    done = run("schema", "heap", "--fields", "--json")
    fields = json.loads(done.stdout)
    assert list(fields) == ["track", "identify", "page", "screen", "group", "alias"]
    names = [field["name"] for field in fields["track"]]
    assert names[:8] == [
        "message_id",
        "anonymous_id",
        "event",
        "properties",
        "timestamp",
        "type",
        "name",
        "traits",
    ]
    assert "identity" in names
    assert fields["track"][0] == {
        "name": "message_id",
        "type": "string",
        "description": "Unique event ID generated by Segment.",
        "required": True,
        "default": {"@path": "$.messageId"},
    }
    assert "| `message_id` | string |" in run("schema", "heap", "--fields").stdout
