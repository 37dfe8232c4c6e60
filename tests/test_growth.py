"""What one message may cost: whatever looks at a text takes time that grows as its length does.

Each row is made for a pattern that was, or could be, slow: a sender chooses these texts. Growth is
compared, not seconds: eight times the text may take at most 44 times the CPU, on a noisy machine;
where the time grew as the square of the length it would be 64 times.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from destination_router.gateway.pixel import pixel_event
from destination_router.pipeline.globs import compile_globs
from destination_router.pipeline.normalise import parse_message
from destination_router.pipeline.privacy.bare_urls import bare_url, is_suspect, is_url
from destination_router.pipeline.privacy.masking import plain_identifier
from destination_router.pipeline.subscriptions.conditions import compile_condition
from destination_router.pipeline.transformations.conversions import CONVERSIONS
from destination_router.pipeline.wire import members, split_batch
from destination_router.settings.redaction import hide

SMALL, MANY, TIMES, MOST = 20_000, 2_000_000, 8, 44

debug = compile_globs(["*debug*test*", "a*a*a*a*b"])
DROP = compile_condition('match(event, "*x") or match(event, "x*")')

CASES: dict[str, tuple[Callable[[str], object], Callable[[int], str]]] = {
    "email of dots": (plain_identifier, lambda n: "a@" + "." * n + "@"),
    "email of ats": (plain_identifier, lambda n: "@" * n),
    "email of blanks": (plain_identifier, lambda n: "a@" + " a." * (n // 3)),
    "glob of its own parts": (debug, lambda n: "debug" * (n // 5)),
    "glob of one letter": (debug, lambda n: "a" * n),
    "match": (
        lambda text: DROP(parse_message({"type": "track", "userId": "u", "event": text})),
        lambda n: "y" * n,
    ),
    "number of digits": (CONVERSIONS["number"], lambda n: "1" * n + "x"),
    "number of points": (CONVERSIONS["number"], lambda n: "1." * (n // 2)),
    "url of slashes": (bare_url, lambda n: "https://a" + "/:" * (n // 2)),
    "url of percent": (bare_url, lambda n: "https://a/" + "%25" * (n // 3)),
    "url of colons": (is_url, lambda n: "a:" * (n // 2)),
    "url of marks": (is_url, lambda n: ":" * n),
    "suspect": (is_suspect, lambda n: "a" * n),
    "members": (lambda text: members(text.encode()), lambda n: '{"a":"' + "\\\\" * (n // 2) + '"}'),
    "batch": (
        lambda text: split_batch(text.encode()),
        lambda n: '{"batch":[' + ",".join(["{}"] * (n // 3)) + "]}",
    ),
    "secret almost there": (
        lambda text: hide(text, frozenset({"secret-" * 4 + "!"})),
        lambda n: "secret-" * (n // 7),
    ),
}


def cpu(look: Callable[[str], object], text: str) -> float:
    """The least of a few: what other processes take away only adds to it."""

    def once() -> float:
        begun = time.process_time_ns()
        with contextlib.suppress(Exception):  # refusing is an answer too
            look(text)
        return time.process_time_ns() - begun

    return min(once() for _ in range(5))


@pytest.mark.parametrize("name", CASES)
def test_the_cost_grows_as_the_length_does(name: str) -> None:
    """Doubled until it can be measured, then eight times as long."""
    look, make = CASES[name]
    size = SMALL
    while (small := cpu(look, make(size))) < 2_000_000 and size < MANY:
        size *= 2
    if size >= MANY:  # two million characters in no time
        return
    assert cpu(look, make(TIMES * size)) < MOST * small


def test_the_path_of_a_pixel_is_bounded() -> None:
    """To find its dots would take longer than it is long."""
    query = [("a" * 1_000_000 + "\\", "1"), ("event", "E")]
    event = pixel_event("track", query, datetime.now(UTC))
    assert b"aaa" not in event
    assert b'"event":"E"' in event
