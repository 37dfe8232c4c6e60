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
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from destination_router.contract.javascript import json_text
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process

ROOT = Path(__file__).parent.parent
SEGMENT = ROOT / "tests" / "segment"
PAGE = "docs/moving.md"
EXACT = 2**53
BATCH = 100
SHOWN = 10
PROTOTYPE = "__proto__"
CALLS = ("identify", "track", "page", "screen", "group", "alias")

Message: TypeAlias = dict[str, Any]
Fields: TypeAlias = tuple[tuple[str, tuple[Any, ...]], ...]
Answer: TypeAlias = Any
"""`rejected`, or the requests: each a URL and a body."""
TYPES = ("TRACK", " track", "Identify", "", "group", "alias", "nope", None, 5, ["track"], {})
MESSAGE_IDS = (" m-1 ", "", " ", None, 5, 1e-6, 1e21, True, ["m-1"], [], {})
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
SCALARS = (
    *(0, 1, -1.5, 1e21, 1e-7, -0.0, EXACT, EXACT + 1, -EXACT - 1, 10**20 + 1, 5e-324),
    *("", "v", "ünï", "0", True, False, None),
)
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
ENVELOPE: Fields = (
    ("sentAt", ("2026-11-22T10:00:00Z", 0, "soon", {})),
    ("receivedAt", ("2026-11-22T10:00:00Z", None, [])),
    ("request_ip", ("203.0.113.7", 1)),
    ("version", ("2", 2, None)),
    ("writeKey", ("k", {})),
    ("rudderId", ("r", 5)),
    ("metadata", ({}, [], "x")),
    (PROTOTYPE, ({"userId": "x"}, "x", None)),
)
FIELDS: Fields = (
    ("userId", IDS),
    ("anonymousId", IDS),
    ("timestamp", TIMES),
    ("originalTimestamp", TIMES),
    ("event", ("Paid", "", " ", None, 0, False, 5, ["Paid"], [""], [], {})),
    ("name", ("Home", "", " ", "0", None, 5, [], ["Home"])),
    ("channel", ("web", "sources")),
    ("integrations", ({"All": True}, {"All": True, "Other": False})),
)
KINDS = ("track", "track", "identify", "page", "screen")
ODDLY_CALLED: Fields = (
    ("type", TYPES),
    ("messageId", MESSAGE_IDS),
)
CONTEXTS: tuple[Any, ...] = ("", None, [{"id": "x"}], {"traits": "x"}, {"traits": [{"a": 1}]})
ODD = ("", "x", True, 0, [], [1, {"a": 2}], [{"a": "b"}])


def message(chance: random.Random, index: int) -> Message:
    """Make one message, plain or odd."""
    made: Message = {"type": chance.choice(KINDS), "messageId": f"m-{index:08}"}
    _choose(made, ODDLY_CALLED, 5, chance)
    if _happens(chance, 1):
        del made[chance.choice(("type", "messageId"))]
    _choose(made, FIELDS, 50, chance)
    for name in ("properties", "traits"):
        if _happens(chance, 60):
            made[name] = chance.choice(ODD) if _happens(chance, 10) else nested(chance, 3)
    if _happens(chance, 50):
        odd = _happens(chance, 10)
        made["context"] = chance.choice(CONTEXTS) if odd else {"traits": nested(chance, 2)}
    _choose(made, ENVELOPE, 5, chance)
    return made


def _choose(made: Message, fields: Fields, percent: int, chance: random.Random) -> None:
    """Give a message some fields, the first of its values to every second."""
    for name, values in fields:
        if _happens(chance, percent):
            made[name] = values[0] if _happens(chance, 50) else chance.choice(values)


def _happens(chance: random.Random, percent: int) -> bool:
    return chance.randrange(100) < percent


def nested(chance: random.Random, depth: int) -> dict[str, Any]:
    """Make an object."""
    made = {chance.choice(KEYS): value(chance, depth) for _ in range(chance.randrange(5))}
    if _happens(chance, 1):
        made[PROTOTYPE] = value(chance, depth)
    return made


def value(chance: random.Random, depth: int) -> Any:
    """Make any JSON value."""
    if depth and _happens(chance, 20):
        return nested(chance, depth - 1)
    if depth and _happens(chance, 20):
        return [value(chance, depth - 1) for _ in range(chance.randrange(3))]
    return chance.choice(SCALARS)


def against_segment(messages: list[Message], node: str) -> list[tuple[Answer, Answer]]:
    """Ask Segment's package and dialect `segment`."""
    done = subprocess.run(  # noqa: S603 -- the program is the one that the caller found
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
) -> list[tuple[Answer, Answer]]:
    """Ask a running transformer and our own, with plain and with dynamic configuration."""
    configs = (
        {"appId": "11"},
        {"appId": "{{ event.properties.app || 12 }}"},
        {"appId": "{{ message.traits.app || 12 }}", "dataResidency": "eu"},
        {"appId": "11", "dataResidency": "{{ message.context.traits.a || us }}"},
    )
    dynamic: tuple[dict[str, bool], ...] = (
        {},
        {"hasDynamicConfig": True},
        {"hasDynamicConfig": False},
    )
    jobs = [_job(sent, chance.choice(configs), chance.choice(dynamic)) for sent in messages]
    real: list[Answer] = []
    for batch in _batches(jobs):
        real += _transformed(batch, url)
    for job in jobs:
        job["destination"]["Config"]["dialect"] = "rudderstack"
    body = process("heap", find_destinations()["heap"], json.dumps(jobs).encode(), str)
    return [(a, _sent(b)) for a, b in zip(real, json.loads(body), strict=True)]


def _batches(jobs: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Cut jobs into requests; one for which a whole request is refused goes alone."""
    batch: list[dict[str, Any]] = []
    for job in jobs:
        alone = _has_prototype(job["message"])
        if batch and (alone or len(batch) == BATCH):
            yield batch
            batch = []
        batch.append(job)
        if alone:
            yield batch
            batch = []
    if batch:
        yield batch


def _transformed(jobs: list[dict[str, Any]], url: str) -> list[Answer]:
    asked = urllib.request.Request(  # noqa: S310 -- the URL is the caller's own
        f"{url.rstrip('/')}/v0/destinations/heap",
        json.dumps(jobs).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 -- as above
            return [_sent(told) for told in json.load(answer)]
    except urllib.error.HTTPError:
        if len(jobs) > 1:
            raise
        return ["rejected"]


def _job(sent: Message, config: dict[str, str], flags: dict[str, bool]) -> dict[str, Any]:
    definition = {"Name": "HEAP", "DisplayName": "Heap.io", "Config": {}}
    destination = {
        "ID": "d",
        "Name": "d",
        "Config": dict(config),
        "DestinationDefinition": definition,
        **flags,
    }
    return {"message": sent, "metadata": {"destinationId": "d"}, "destination": destination}


def _sent(answer: dict[str, Any]) -> Answer:
    if "output" not in answer:
        return "rejected"
    return [[answer["output"]["endpoint"], answer["output"]["body"]["JSON"]]]


# -- what is known: each rule levels one difference, or is None where it does not apply -----------

Levelled: TypeAlias = tuple[Answer, Answer] | None
Rule: TypeAlias = Callable[[Message, Answer, Answer], Levelled]


def _type(sent: Message, real: Answer, here: Answer) -> Levelled:
    kind = sent.get("type")
    known = isinstance(kind, str) and kind.strip().lower() in CALLS
    if kind in CALLS or real != [] or not (known or here == "rejected"):
        return None
    return [], []


def _message_id(sent: Message, real: Answer, here: Answer) -> Levelled:
    given = sent.get("messageId")
    if isinstance(given, str) and given and given == given.strip():
        return None
    if real == "rejected" and here != "rejected":
        return real, real
    return _without_key(real), _without_key(here)


def _without_key(answer: Answer) -> Answer:
    if answer == "rejected":
        return answer
    return [
        [url, {**body, "events": [_keyless(e) for e in body.get("events", ())]}]
        for url, body in answer
    ]


def _keyless(event: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in event.items() if name != "idempotency_key"}


def _null_context(sent: Message, real: Answer, here: Answer) -> Levelled:
    if sent.get("context", 0) is not None or real != "rejected" or here == "rejected":
        return None
    return real, real


def _prototype_at_segment(sent: Message, real: Answer, here: Answer) -> Levelled:
    """There such a key is no key: it is lost, or what is in it stands one level higher."""
    if "rejected" in (real, here) or len(real) != len(here) or not _has_prototype(sent):
        return None
    levelled = []
    for (url, theirs), (_, body) in zip(real, here, strict=True):
        levelled.append([url, _lost(theirs, body)])
    return real, levelled


def _lost(theirs: Any, body: Any) -> Any:
    """Take out of our body what such a key makes of it, as far as theirs says so."""
    if isinstance(theirs, list) and isinstance(body, list) and len(theirs) == len(body):
        return [_lost(a, b) for a, b in zip(theirs, body, strict=True)]
    if not isinstance(theirs, dict) or not isinstance(body, dict):
        return body
    plain = {key: item for key, item in body.items() if PROTOTYPE not in key.split(".")}
    risen = {
        name: item
        for key, item in body.items()
        for name in _higher(key)
        if name in theirs and item == theirs[name]
    }
    left = {**plain, **risen}
    if left.keys() != theirs.keys():
        return left
    return {key: _lost(item, left[key]) for key, item in theirs.items()}


def _higher(key: str) -> Iterable[str]:
    """List what a path may be called there: one such key in another stays where it is."""
    ways = [(None, part) if part == PROTOTYPE else (part,) for part in key.split(".")]
    names = (".".join(part for part in chosen if part is not None) for chosen in product(*ways))
    return [name for name in names if name != key]


def _prototype_at_rudderstack(sent: Message, real: Answer, _here: Answer) -> Levelled:
    return (real, real) if real == "rejected" and _has_prototype(sent) else None


def _has_prototype(value: Any) -> bool:
    if isinstance(value, dict):
        return PROTOTYPE in value or any(map(_has_prototype, value.values()))
    return isinstance(value, list) and any(map(_has_prototype, value))


def _large_numbers(_sent: Message, real: Answer, here: Answer) -> Levelled:
    levelled = _rounded(here)
    return None if levelled == here else (_rounded(real), levelled)


def _rounded(value: Any) -> Any:
    """Write whole numbers beyond 2^53 as a number of JavaScript's."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    is_large = type(value) is int and abs(value) > EXACT
    return float(value) if is_large else value


def _unusable_app_id(_sent: Message, real: Answer, here: Answer) -> Levelled:
    if here != "rejected" or real == "rejected":
        return None
    ((_, body),) = real
    app_id = body.get("app_id")
    return None if type(app_id) is str and app_id.isdigit() else (real, real)


def _app_id_as_number(_sent: Message, real: Answer, here: Answer) -> Levelled:
    if "rejected" in (real, here):
        return None
    ((url, theirs),), ((_, ours),) = real, here
    number, text = theirs.get("app_id"), ours.get("app_id")
    if type(number) not in (int, float) or not isinstance(text, str):
        return None
    same = text == str(number) or (text.isdecimal() and float(text) == float(number))
    return ([[url, {**theirs, "app_id": text}]], here) if same else None


def _identity_in_a_list(sent: Message, real: Answer, here: Answer) -> Levelled:
    """Only the identity differs, and a list is there to find another one in."""
    context = sent.get("context")
    traits = context.get("traits") if isinstance(context, dict) else None
    if real == "rejected" or not any(map(_holds_an_id, (sent.get("traits"), context, traits))):
        return None
    if here == "rejected":
        return real, real
    ((url, theirs),), ((_, body),) = real, here
    return real, [[url, {**body, "identity": theirs.get("identity")}]]


def _holds_an_id(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(item, dict) and item.keys() & {"userId", "id", "traits"} for item in value
    )


RULES: dict[str, dict[str, Rule]] = {
    "segment": {
        "differs-type": _type,
        "differs-message-id": _message_id,
        "differs-null-context": _null_context,
        "differs-prototype": _prototype_at_segment,
    },
    "rudderstack": {
        "differs-prototype": _prototype_at_rudderstack,
        "differs-app-id": _unusable_app_id,
        "differs-app-id-number": _app_id_as_number,
        "differs-large-numbers": _large_numbers,
        "differs-lists": _identity_in_a_list,
    },
}
"""By system, each known difference, by the anchor of its row in docs/moving.md."""


def known_by(system: str, sent: Message, real: Answer, here: Answer) -> list[str] | None:
    """Say which rules explain the difference between two answers; None: it is new."""
    rules: list[str] = []
    for anchor, level in RULES[system].items():
        if _is_same(real, here):
            break
        if (levelled := level(sent, real, here)) is not None:
            real, here = levelled
            rules.append(anchor)
    return rules if _is_same(real, here) else None


def _is_same(real: Answer, here: Answer) -> bool:
    """Compare to the byte, and whole numbers to the digit, which JavaScript's text does not."""
    return bool(real == here) and json_text(real) == json_text(here)


def report(system: str, messages: list[Message], pairs: list[tuple[Answer, Answer]]) -> int:
    """Print what differs, and count what is new."""
    known: Counter[str] = Counter()
    differing = new = 0
    for sent, (real, here) in zip(messages, pairs, strict=True):
        rules = known_by(system, sent, real, here)
        if rules is not None:
            differing += bool(rules)
            known.update(rules)
            continue
        new += 1
        if new <= SHOWN:
            print(f"NEW {system}\n  message {json.dumps(sent)}\n  there   {real}\n  here    {here}")
    print(f"{system}: {len(messages)} messages, {differing} known differences, {new} new")
    for anchor, count in known.most_common():
        print(f"  {count} {PAGE}#{anchor}")
    return new


def main(arguments: list[str] | None = None) -> int:
    """Compare, and say with the exit status whether anything new was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--transformer", metavar="URL", help="a running RudderStack transformer")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)  # noqa: S311 -- messages, no secrets
    messages = [message(chance, index) for index in range(options.messages)]
    new = 0
    if node := _node():
        new += report("segment", messages, against_segment(messages, node))
    else:
        reason = "skipped: Node or Segment's package is missing; run scripts/test-sdks --prepare"
        print(reason, file=sys.stderr)
        if os.environ.get("CI") == "true":
            return 1
    if options.transformer:
        pairs = against_rudderstack(messages, options.transformer, chance)
        new += report("rudderstack", messages, pairs)
    return 1 if new else 0


def _node() -> str | None:
    """Find Node, if Segment's package is installed for it."""
    installed = (SEGMENT / "node_modules" / "@segment" / "action-destinations").is_dir()
    return shutil.which("node") if installed else None


if __name__ == "__main__":
    sys.exit(main())
