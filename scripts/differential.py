# ruff: noqa: ARG005, INP001, PLR2004, S311, S603, T201 -- a script of comparison: it draws by chance, prints and knows its inputs
"""Generated messages through our dialects and through the real systems; a new difference fails.

Every difference is either known, by a rule that names its row in docs/moving.md, or new.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from destination_router.contract.javascript import json_text
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process

ROOT = Path(__file__).parent.parent
SEGMENT = ROOT / "tests" / "segment"
KNOWN_ROWS = "docs/moving.md#where-the-dialects-disagree"
EXACT = 2**53

Message = dict[str, Any]
IDS = (
    "ada",
    " padded ",
    "\ufeffb\u001c",
    "0",
    "null",
    "",
    " ",
    None,
    0,
    42,
    1e-6,
    1e21,
    True,
    ["x"],
    [],
    {},
)
TIMES = (
    *("2026-11-22T10:00:00Z", "2026-11-22 10:00:00.123 +0100", "2026/11/22", "2026-02-30", "soon"),
    *("2026-11-22T24:00:00Z", "Nov 22, 2026 10:00 UTC", "1700000000123", "", None, 0, True, []),
    *(1_700_000_000_000, 1e20),
)
SCALARS = (0, 1, -1.5, 1e21, 1e-7, -0.0, EXACT, 5e-324, "", "v", "ünï", "0", True, False, None)
KEYS = (
    "a",
    "b",
    "a.b",
    "",
    "0",
    "10",
    "name",
    "id",
    "userId",
    "idempotencyKey",
    "timestamp",
    "app",
)
ODD = ("", "x", True, 0, [], [1, {"a": 2}], [{"a": "b"}])


def message(chance: random.Random, index: int) -> Message:
    """Make one message, plain or odd."""
    kind = chance.choice(("track", "track", "identify", "page", "screen"))
    made: Message = {"type": kind, "messageId": f"m-{index:08}"}
    for name, values in (
        ("userId", IDS),
        ("anonymousId", IDS),
        ("timestamp", TIMES),
        ("originalTimestamp", TIMES),
        ("event", ("Paid", "", " ", None, 0, False, 5, ["Paid"], [], {})),
        ("name", ("Home", "", " ", "0", None, 5, [], ["Home"])),
        ("channel", ("web", "sources")),
        ("integrations", ({"All": True}, {"All": True, "Other": False})),
    ):
        if chance.random() < 0.5:
            made[name] = values[0] if chance.random() < 0.5 else chance.choice(values)
    for name in ("properties", "traits"):
        if chance.random() < 0.6:
            made[name] = chance.choice(ODD) if chance.random() < 0.1 else nested(chance, 3)
    if chance.random() < 0.5:
        made["context"] = {"traits": nested(chance, 2)}
        if chance.random() < 0.1:
            made["context"] = chance.choice(("", None, {"traits": "x"}, {"traits": [{"a": 1}]}))
    return made


def nested(chance: random.Random, depth: int) -> dict[str, Any]:
    """Make an object."""
    return {chance.choice(KEYS): value(chance, depth) for _ in range(chance.randrange(5))}


def value(chance: random.Random, depth: int) -> Any:
    """Make any JSON value."""
    roll = chance.random()
    if depth and roll < 0.2:
        return nested(chance, depth - 1)
    if depth and roll < 0.35:
        return [value(chance, depth - 1) for _ in range(chance.randrange(3))]
    return chance.choice(SCALARS)


def against_segment(messages: list[Message], node: str) -> list[tuple[Any, Any]]:
    """Ask Segment's package and dialect `segment`."""
    done = subprocess.run(
        [node, SEGMENT / "reference.cjs"],
        input=json.dumps({"mappings": {}, "messages": messages}),
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    )
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", "dialect": "segment"})
    return [
        (
            "rejected" if "rejected" in told else [[r["url"], r["json"]] for r in told["requests"]],
            ours(connection, sent),
        )
        for told, sent in zip(json.loads(done.stdout), messages, strict=True)
    ]


def ours(connection: Connection, sent: Message) -> Any:
    """Say what our dialect makes of a message."""
    decision = connection.decide(json.dumps(sent).encode())
    if decision.result == "rejected":
        return "rejected"
    return [[request.url, request.json] for request in decision.requests]


def against_rudderstack(
    messages: list[Message], url: str, chance: random.Random
) -> list[tuple[Any, Any]]:
    """Ask a running transformer and our own, with plain and with dynamic configuration."""
    configs = ({"appId": "11"}, {"appId": "{{ event.properties.app || 12 }}"})
    pairs: list[tuple[Any, Any]] = []
    for at in range(0, len(messages), 100):
        jobs = [_job(sent, chance.choice(configs)) for sent in messages[at : at + 100]]
        asked = urllib.request.Request(  # noqa: S310 -- the URL is the caller's own
            f"{url.rstrip('/')}/v0/destinations/heap",
            json.dumps(jobs).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
            real = json.load(answer)
        for job in jobs:
            job["destination"]["Config"]["dialect"] = "rudderstack"
        body = process("heap", find_destinations()["heap"], json.dumps(jobs).encode(), str)
        pairs += [(_sent(a), _sent(b)) for a, b in zip(real, json.loads(body), strict=True)]
    return pairs


def _job(sent: Message, config: dict[str, str]) -> dict[str, Any]:
    definition = {"Name": "HEAP", "DisplayName": "Heap.io", "Config": {}}
    destination = {
        "ID": "d",
        "Name": "d",
        "Config": dict(config),
        "DestinationDefinition": definition,
    }
    return {"message": sent, "metadata": {"destinationId": "d"}, "destination": destination}


def _sent(answer: dict[str, Any]) -> Any:
    if "output" not in answer:
        return "rejected"
    return [answer["output"]["endpoint"], answer["output"]["body"]["JSON"]]


Rule = Callable[[Message, Any, Any], bool]
RULES: dict[str, Rule] = {
    "an appId that is missing or no digits": lambda sent, real, here: (
        here == "rejected"
        and real != "rejected"
        and not (type(real[1].get("app_id")) is str and real[1]["app_id"].isdigit())
    ),
    "a context that is null": lambda sent, real, here: (
        real == "rejected" and here != "rejected" and sent.get("context", 0) is None
    ),
    "an appId that is a number": lambda sent, real, here: (
        "rejected" not in (real, here)
        and type(real[1]) is dict
        and type(real[1]["app_id"]) is not str
        and str(real[1]["app_id"]) == here[1]["app_id"]
        and {**real[1], "app_id": ""} == {**here[1], "app_id": ""}
    ),
    "ids, traits or a context that are lists of objects": lambda sent, real, here: any(
        isinstance(part, list)
        for part in (
            sent.get("traits"),
            sent.get("context"),
            (sent.get("context") or {}).get("traits"),
        )
    ),
}
"""Each known difference, by the words of its row in docs/moving.md."""


def report(system: str, messages: list[Message], pairs: list[tuple[Any, Any]]) -> int:
    """Print what differs, and count what is new."""
    known: Counter[str] = Counter()
    new = 0
    for sent, (real, here) in zip(messages, pairs, strict=True):
        if json_text(real) == json_text(here):
            continue
        rule = next((name for name, holds in RULES.items() if holds(sent, real, here)), None)
        if rule is not None:
            known[rule] += 1
            continue
        new += 1
        if new <= 10:
            print(f"NEW {system}\n  message {json.dumps(sent)}\n  there   {real}\n  here    {here}")
    print(f"{system}: {len(messages)} messages, {known.total()} known differences, {new} new")
    for rule, count in known.most_common():
        print(f"  {count} {rule} ({KNOWN_ROWS})")
    return new


def main() -> int:
    """Compare, and say with the exit status whether anything new was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--transformer", metavar="URL", help="a running RudderStack transformer")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    messages = [message(chance, index) for index in range(options.messages)]
    node = shutil.which("node")
    installed = (SEGMENT / "node_modules" / "@segment" / "action-destinations").is_dir()
    new = 0
    if node and installed:
        new += report("segment", messages, against_segment(messages, node))
    else:
        reason = "Node or Segment's package is missing; run scripts/test-sdks --prepare"
        print(reason, file=sys.stderr)
        if os.environ.get("CI") == "true":
            return 1
    if options.transformer:
        pairs = against_rudderstack(messages, options.transformer, chance)
        new += report("rudderstack", messages, pairs)
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
