"""examples/fan_out: three vendors at once, as its README says, with each of them down in turn."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from waiting import PATIENCE, free_port, until

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "fan_out"
SIBLINGS = [ROOT / "examples" / f"{name}_destination" for name in ("mixpanel", "amplitude")]
PORTS = {"heap": 9101, "mixpanel": 9102, "amplitude": 9103}
SENT = 13
"""How many messages `send.py` sends."""

SOON = 'first_wait = "200ms"\nlongest_wait = "1s"\n'
"""Not at once: attempts that fail count against a vendor's quotas too."""


class Busy(BaseHTTPRequestHandler):
    """A vendor that has no time."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def refuses(_: int) -> Iterator[None]:
    """Nobody listens."""
    yield


@contextlib.contextmanager
def hangs(port: int) -> Iterator[None]:
    """Connections are taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextlib.contextmanager
def is_busy(port: int) -> Iterator[None]:
    """Every request is answered 503."""
    with HTTPServer(("127.0.0.1", port), Busy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def commands(fresh_venv: Callable[[], Path]) -> Path:
    """An environment with the two siblings installed."""
    found = fresh_venv()
    editable = [f"--editable={sibling}" for sibling in SIBLINGS]
    subprocess.run([found / "pip", "install", "--quiet", *editable], check=True)
    return found


class Example:
    """The example's configuration on free ports, and what the README starts."""

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        self.url = f"http://127.0.0.1:{free_port()}"
        self._commands = commands
        self._processes: list[subprocess.Popen[str]] = []
        text = (EXAMPLE / "router.toml").read_text()
        for name, port in PORTS.items():
            assert f":{port}" in text
            text = text.replace(f":{port}", f":{self.ports[name]}")
        text = text.replace("[delivery.origins]", f"[delivery]\n{SOON}\n[delivery.origins]")
        (folder / "router.toml").write_text(text)

    def simulate(self, name: str) -> None:
        self._start("simulate", name, "--listen", f"127.0.0.1:{self.ports[name]}")
        until(lambda: self.held(name) is not None)

    def run(self) -> None:
        self._start("run", "--listen", self.url.removeprefix("http://"))
        until(lambda: self._get(f"{self.url}/ready"))

    def send(self) -> None:
        subprocess.run([self._commands / "python", EXAMPLE / "send.py", self.url], check=True)

    def held(self, name: str) -> str | None:
        """What a vendor's stand-in holds of events, as text; None where it does not answer."""
        return self._get(f"http://127.0.0.1:{self.ports[name]}/_simulator/events")

    def lag(self) -> dict[str, int]:
        metrics = self._get(f"{self.url}/metrics") or ""
        found = re.findall(r'\nrouter_lag_messages\{connection="(\w+)"\} (\S+)', metrics)
        return {name: int(float(value)) for name, value in found}

    def end(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0

    def _start(self, *arguments: str) -> None:
        with (self.folder / "said.log").open("a") as said:
            command = [self._commands / "destination-router", *arguments]
            process = subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=said, text=True
            )
        self._processes.append(process)

    @staticmethod
    def _get(url: str) -> str | None:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(url)
            return answer.text if answer.status_code == httpx.codes.OK else None
        return None


@pytest.fixture
def example(tmp_path: Path, commands: Path) -> Iterator[Example]:
    running = Example(tmp_path, commands)
    yield running
    running.end()


def is_whole(held: str | None) -> bool:
    """Whether a vendor has each event of `send.py` once."""
    return held is not None and [
        held.count(f'"{name}"') for name in ("Note Written", "Program Published")
    ] == [10, 1]


@pytest.mark.parametrize(
    ("down", "fails"), [("heap", is_busy), ("mixpanel", refuses), ("amplitude", hangs)]
)
def test_a_vendor_that_is_down_holds_up_no_other(
    example: Example,
    down: str,
    fails: Callable[[int], contextlib.AbstractContextManager[None]],
) -> None:
    """The others get every event of the SDK once; the one that is down gets them when it is up."""
    others = [name for name in PORTS if name != down]
    for name in others:
        example.simulate(name)
    with fails(example.ports[down]):
        example.run()
        example.send()
        until(lambda: example.lag() == dict.fromkeys(others, 0) | {down: SENT})
        assert [name for name in others if not is_whole(example.held(name))] == []
    before = [example.held(name) for name in others]
    example.simulate(down)
    until(lambda: example.lag().get(down) == 0)
    assert is_whole(example.held(down))
    assert [example.held(name) for name in others] == before
