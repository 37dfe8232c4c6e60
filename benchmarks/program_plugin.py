"""What a destination costs as a program, beside the same destination in Python.

`.venv/bin/python benchmarks/program_plugin.py` decides about the same messages with one destination
in three forms: in Python, as a program in Python, and as one in Node where Node is installed. Of
the programs it measures one exchange a message, as the suite asks, and one for many, as a router
does. The figures are ratios to Python's in the same run; the machine's own speed falls out.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec

from destination_router import HttpRequest, Identify, Json, Track, hookimpl
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import LoadedPlugin, check_destination
from destination_router.programs.destination import ProgramHooks, load_program

MESSAGES = 2000
ALONE = 300
ROUNDS = 7
URL = "https://vendor.example/events"
SCHEMA: dict[str, Json] = {"type": "object", "additionalProperties": False, "properties": {}}

IN_PYTHON = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    call = asked["call"]
    if call == "map":
        value = [{"requests": [{"url": URL, "json": {
            "id": each["message"]["messageId"], "event": each["message"]["event"],
            "properties": each["message"]["properties"]}}]} for each in asked["messages"]]
    elif call == "hello":
        value = {"protocol": 1, "name": "small", "version": "1", "reads": [],
                 "hooks": ["settings_schema", "on_identify", "on_track"]}
    else:
        value = SCHEMA
    sys.stdout.write(json.dumps({"id": asked["id"], "value": value}) + "\\n")
    sys.stdout.flush()
"""
IN_NODE = """
import { createInterface } from "node:readline";
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { id, call, messages } = JSON.parse(line);
  let value = SCHEMA;
  if (call === "map") value = messages.map(({ message: m }) => ({ requests: [{ url: URL,
    json: { id: m.messageId, event: m.event, properties: m.properties } }] }));
  if (call === "hello") value = { protocol: 1, name: "small", version: "1", reads: [],
    hooks: ["settings_schema", "on_identify", "on_track"] };
  process.stdout.write(JSON.stringify({ id, value }) + "\\n");
});
"""


def in_process() -> LoadedPlugin:
    """Make the destination as a plugin."""

    def on_track(message: Track) -> list[HttpRequest]:
        body = {
            "id": message.message_id,
            "event": message.event,
            "properties": message.properties,
        }
        return [HttpRequest(url=URL, json=body)]

    def on_identify(message: Identify) -> list[HttpRequest]:
        return [HttpRequest(url=URL, json={"id": message.message_id})]

    def settings_schema() -> dict[str, Json]:
        return SCHEMA

    hooks = {"on_track": on_track, "on_identify": on_identify, "settings_schema": settings_schema}
    marked = {name: hookimpl(hook) for name, hook in hooks.items()}
    return check_destination(SimpleNamespace(**marked), "small", "small 1")


def programs(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Write the destination as programs; give the command of each."""
    head = f"URL = {URL!r}\nSCHEMA = {SCHEMA!r}\n"
    (folder / "small.py").write_text(head + IN_PYTHON)
    yield "a program in Python", [sys.executable, str(folder / "small.py")]
    if (node := shutil.which("node")) is not None:
        schema = msgspec.json.encode(SCHEMA).decode()
        text = IN_NODE.replace("URL", f'"{URL}"').replace("SCHEMA", schema)
        (folder / "small.mjs").write_text(text)
        yield "a program in Node", [node, str(folder / "small.mjs")]


def microseconds(action: Callable[[], object], count: int) -> float:
    """Take the median time of an action, for each of its messages."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times) / count * 1e6


def asked_ahead(connection: Connection, hooks: ProgramHooks, raws: Sequence[bytes]) -> None:
    """Decide as a router does: a hundred messages at a time."""
    for start in range(0, len(raws), 100):
        some = raws[start : start + 100]
        with hooks.noting() as questions:
            for raw in some:
                connection.decide(raw)
        hooks.answer(questions)
        for raw in some:
            connection.decide(raw)
        hooks.forget(questions)


def main() -> None:
    """Measure, and print a row for each form."""
    raws = [
        msgspec.json.encode(
            {
                "type": "track",
                "messageId": f"message-{number}",
                "userId": f"user-{number % 100}",
                "event": "Order Completed",
                "properties": {"total": number, "coupon": "SPRING", "items": [{"sku": "a"}] * 3},
                "context": {"ip": "203.0.113.7", "library": {"name": "x", "version": "1"}},
            }
        )
        for number in range(MESSAGES)
    ]
    plain = Connection("small", in_process(), {})
    reference = microseconds(lambda: [plain.decide(raw) for raw in raws], MESSAGES)
    print(f"{'in Python':22} {reference:8.1f} µs a message   1.0")
    with tempfile.TemporaryDirectory() as folder:
        for name, command in programs(Path(folder)):
            plugin = load_program(command)
            connection = Connection("small", plugin, {})
            hooks = plugin.elsewhere
            assert isinstance(hooks, ProgramHooks)  # noqa: S101 -- it is a program
            few = raws[:ALONE]
            alone = microseconds(lambda c=connection, r=few: [c.decide(raw) for raw in r], ALONE)
            hooks.answer_ahead(ahead=True)
            many = microseconds(lambda c=connection, h=hooks: asked_ahead(c, h, raws), MESSAGES)
            hooks.program.stop()
            for way, took in (("one at a time", alone), ("a hundred", many)):
                print(f"{name}, {way:14} {took:8.1f} µs a message {took / reference:6.1f}")


if __name__ == "__main__":
    main()
