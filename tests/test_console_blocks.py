"""Every command that a page tells a reader to type: it is understood, and sends nothing away.

The commands of a page run one after the other, in a folder that holds only what pages presuppose:
messages, a router.toml and its log, with a simulated Heap. A connection to anything but this
machine fails, and so does the test.
"""

import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_docs import all_commands
from command_line import run_command

from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.service.serving import Asgi
from heap_destination.simulator import create_simulator

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md", "deploy/**/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)  # as .pytest_cache
)
COMMANDS = all_commands()

SERVES = {("simulate",), ("run",), ("console",), ("transformer",), ("demo",)}
"""They go on until they are ended; other tests run them. Here their options are looked at."""

ELSEWHERE = {
    ("conformance",): "takes long: tests/conformance",
    ("eventlog", "create"): "needs Kafka: tests/kafka",
    ("eventlog", "move"): "needs Kafka: tests/kafka",
}

OTHERS = {
    "scripts/": "of a clone",
    ".venv/": "measurements, of a clone",
    "/opt/": "the same commands, of another version",
    "pip": "the reader's own index of packages",
    "python3": "an environment",
    "python": "a program of the page, which has a test of its own",
    "npm": "tests/test_programs.py",
    "node": "tests/test_programs.py",
    "go": "tests/test_programs.py",
    "uvicorn": "scripts/test-hosts",
    "cd": "into what a command before it made",
    "rm": "tests/test_writing_docs.py",
    "pytest": "tests/test_writing_docs.py",
    "ruff": "tests/test_writing_docs.py",
    "mypy": "tests/test_writing_docs.py",
    "diff": "two outputs",
    "sqlite3": "SQLite's own shell",
    "jq": "another system's export",
    "openssl": "a key",
    "rudder-server": "RudderStack's server",
    "api=": "another system's export",
}
"""What a page may say beside this project's commands, and why it is not run here."""

EXPORTS_OF_OTHERS = {"docs/moving.md": "$api"}
"""A page that fetches a reader's own configuration from the system that they leave."""

LOOPBACK = re.compile(r"^(?:http://)?(?:127\.0\.0\.1|localhost):\d+(?:/|$)")

TOML = """
[gateway]
write_keys = [{ env = "WRITE_KEY" }]
[eventlog]
url = "sqlite:///router.db"
[delivery]
origins = { "https://heapanalytics.com" = "http://127.0.0.1:9100" }
[[connections]]
name = "heap"
plugin = "heap"
[connections.settings]
appId = "1234567890"
deletionApiKey = { env = "HEAP_API_KEY" }
"""
MESSAGES = [
    {"type": "identify", "messageId": "m-00000001", "userId": "ada", "traits": {"plan": "pro"}},
    {"type": "track", "messageId": "m-00000002", "userId": "ada", "event": "Paid"},
]

HERE = ("", "127.0.0.1", "::1", "localhost")

_watched: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse, while a test watches, whatever would leave this machine."""
    if not _watched or event not in ("socket.connect", "socket.getaddrinfo"):
        return
    host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = host[0] if isinstance(host, tuple) else host
    host = host.decode() if isinstance(host, bytes) else host
    if isinstance(host, str) and host not in HERE:
        _watched[-1].append(host)
        raise OSError(f"{host} is not this machine")


sys.addaudithook(_hear)


@contextlib.contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Let nothing leave this machine; gives the hosts that were asked for."""
    left: list[str] = []
    _watched.append(left)
    try:
        yield left
    finally:
        _watched.remove(left)


@pytest.fixture
def folder(
    tmp_path: Path, serve: Callable[[Asgi], str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    """What pages presuppose, and the address of a simulated Heap."""
    url = serve(create_simulator(rate_limits=False, deletion_seconds=0))
    for name, value in (
        ("WRITE_KEY", "a-key"),
        ("HEAP_API_KEY", "simulated-api-key"),
        ("MASKING_KEY_1", "0123456789abcdef" * 4),
    ):
        monkeypatch.setenv(name, value)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):  # else a proxy would be asked
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    lines = "".join(json.dumps(message) + "\n" for message in MESSAGES)
    for name in ("messages.jsonl", "events.jsonl"):
        (tmp_path / name).write_text(lines)
    (tmp_path / "message.json").write_text(json.dumps(MESSAGES[1]))
    (tmp_path / "users.txt").write_text("ada\n")
    (tmp_path / "router.toml").write_text(TOML.replace("http://127.0.0.1:9100", url))
    SqliteEventLog(tmp_path / "router.db", ["heap"]).close()
    return tmp_path, url


def typed(page: str) -> list[str]:
    """The commands of a page's console blocks, each in one line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def parts(line: str) -> list[str]:
    """A command's words, up to where the shell would take another command."""
    words = shlex.split(line, comments=True)
    for end in ("|", "&", "&&"):
        words = words[: words.index(end)] if end in words else words
    return words


def path_of(words: list[str]) -> tuple[str, ...] | None:
    """Which command these words are: None for none, such as `--help`."""
    for length in (2, 1):
        if tuple(words[:length]) in COMMANDS:
            return tuple(words[:length])
    return None


def run_ours(words: list[str], folder: Path, url: str) -> None:
    """Run one of this project's commands, or look at its options if it is run elsewhere."""
    target = None
    if ">" in words:
        target = folder / words[words.index(">") + 1]
        words = words[: words.index(">")]
    path = path_of(words)
    if path is None or "--help" in words:
        assert run_command(*words).returncode == 0, words
        return
    installed = not re.search(r"webhook|my-destination|mixpanel|amplitude|shop", " ".join(words))
    if path in SERVES or path in ELSEWHERE or not installed:
        COMMANDS[path].make_context(path[-1], words[len(path) :]).close()
        return
    here = [word.replace("http://127.0.0.1:9100", url) for word in words]
    done = run_command(*here, cwd=folder)
    assert done.returncode in (0, 1), (words, done.stderr)
    if target is not None:
        target.write_text(done.stdout)


def run_line(page: str, line: str, folder: Path, url: str, patch: pytest.MonkeyPatch) -> None:
    """Run a line as its reader would."""
    words = parts(line)
    match words[0]:
        case "destination-router":
            run_ours(words[1:], folder, url)
        case "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                patch.setenv(name, value if "$" not in value else "0123456789abcdef" * 4)
        case "echo" | "printf":
            subprocess.run(["sh", "-c", line], cwd=folder, check=True, capture_output=True)
        case "curl":
            fetched = EXPORTS_OF_OTHERS.get(page)
            assert any(LOOPBACK.match(word) for word in words) or (
                fetched is not None and any(word.startswith(fetched) for word in words)
            ), line
        case other:
            assert other.startswith(tuple(OTHERS)), f"{line}: say how it is tested, or why not"


@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)])
def test_what_a_page_says_to_type_works_and_stays_here(
    page: str, folder: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, each command is understood, and none asks for any machine but this one."""
    where, url = folder
    with loopback_only() as left:
        for line in typed(page):
            run_line(page, line, where, url, monkeypatch)
            assert left == [], line


def test_a_command_that_would_leave_is_noticed(folder: tuple[Path, str]) -> None:
    """Else this file would prove nothing."""
    where, url = folder
    leaving = "destination-router send heap --set appId=1 --wait 0s messages.jsonl"
    with loopback_only() as left:
        run_ours(parts(leaving)[1:], where, url)
    assert set(left) == {"heapanalytics.com"}
    with pytest.raises(AssertionError):
        run_line("README.md", "curl https://heapanalytics.com/", where, url, pytest.MonkeyPatch())


@pytest.mark.parametrize("page", PAGES)
def test_a_router_toml_for_heap_says_where_it_sends(page: str) -> None:
    """A whole configuration that a newcomer copies sends to the simulator."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```toml[^\n]*\n(.*?)```", text, re.DOTALL):
        if "[gateway]" in block and 'plugin = "heap"' in block:
            assert "origins" in block
