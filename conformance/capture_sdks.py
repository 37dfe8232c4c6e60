"""Captures what RudderStack's real SDKs send, for the `sdk-*` cases.

Each SDK makes the same calls against a server on the loopback interface. A person runs this when
a new version of an SDK is out, compares, and adds cases; no case depends on the run.

    python -m conformance.capture_sdks                 the installed rudder-sdk-python
    python -m conformance.capture_sdks --node FOLDER   @rudderstack/rudder-sdk-node, which
                                                       `npm install` put into FOLDER

Prints `{"sdk": "rudder-sdk-python 2.1.9", "messages": [...]}`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import importlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

_WHEN = dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)

_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "identify",
        {
            "user_id": "ada.lovelace@example.com",
            "anonymous_id": "9c1f5d1e-5c0e-4c53-8f1a-0c8ad2a6c0de",
            "traits": {"name": "Ada Lovelace", "seats": 12, "active": True, "tags": ["a", "b"]},
        },
    ),
    (
        "track",
        {
            "user_id": "ada.lovelace@example.com",
            "event": "Order Completed",
            "properties": {"total": 9.5, "coupon": None, "items": [{"sku": "a", "quantity": 2}]},
            "timestamp": _WHEN,
        },
    ),
    ("track", {"anonymous_id": "9c1f5d1e-5c0e-4c53-8f1a-0c8ad2a6c0de", "event": "Page Scrolled"}),
    ("page", {"user_id": "ada.lovelace@example.com", "name": "Pricing", "category": "Docs"}),
    ("screen", {"user_id": "ada.lovelace@example.com", "name": "Cart"}),
    (
        "group",
        {"user_id": "ada.lovelace@example.com", "group_id": "acme", "traits": {"name": "Acme"}},
    ),
    ("alias", {"user_id": "ada.lovelace@example.com", "previous_id": "ada"}),
)

_NODE = """
const Client = require(process.argv[1] + "/node_modules/@rudderstack/rudder-sdk-node");
const client = new (Client.default ?? Client)("write-key",
    { dataPlaneUrl: process.argv[2], flushAt: 1, logLevel: "error" });
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
for (const [call, fields] of JSON.parse(process.argv[3])) {
    const message = Object.fromEntries(Object.entries(fields).map(([k, v]) => [camel(k), v]));
    if (message.timestamp) message.timestamp = new Date(message.timestamp);
    client[call](message);
}
client.flush();
"""


def main() -> None:
    """Run one SDK and print what it sent."""
    parser = argparse.ArgumentParser(description="Capture what an SDK sends.")
    parser.add_argument("--node", type=Path, help="a folder with @rudderstack/rudder-sdk-node")
    folder: Path | None = parser.parse_args().node
    name, run = _python_sdk() if folder is None else _node_sdk(folder)
    with _data_plane() as (url, wait_for):
        run(url)
        messages = wait_for(len(_CALLS))
    json.dump({"sdk": name, "messages": messages}, sys.stdout, indent=2, ensure_ascii=False)


def _python_sdk() -> tuple[str, Callable[[str], None]]:
    return f"rudder-sdk-python {version('rudder-sdk-python')}", _run_python


def _run_python(url: str) -> None:
    client = importlib.import_module("rudderstack.analytics").Client("write-key", host=url)
    for call, fields in _CALLS:
        getattr(client, call)(**fields)
    client.shutdown()


def _node_sdk(folder: Path) -> tuple[str, Callable[[str], None]]:
    package = folder / "node_modules" / "@rudderstack" / "rudder-sdk-node" / "package.json"
    name = f"@rudderstack/rudder-sdk-node {json.loads(package.read_text())['version']}"
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node is not on the PATH")

    def run(url: str) -> None:
        calls = json.dumps(_CALLS, default=str)
        command = [node, "--eval", _NODE, str(folder.resolve()), url, calls]
        subprocess.run(command, check=True)  # noqa: S603 -- our own script

    return name, run


@contextmanager
def _data_plane() -> Iterator[tuple[str, Callable[[int], list[Any]]]]:
    """Stand in for a data plane: give its URL, and a function that waits for messages."""
    messages: list[Any] = []
    arrived = threading.Condition()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            with arrived:
                messages.extend(json.loads(body)["batch"])
                arrived.notify_all()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Log nothing: stdout and stderr are for the result."""

    def wait_for(count: int) -> list[Any]:
        with arrived:
            if not arrived.wait_for(lambda: len(messages) >= count, timeout=30):
                raise SystemExit(f"{len(messages)} of {count} messages arrived in 30 seconds")
            return list(messages)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", wait_for
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    main()
