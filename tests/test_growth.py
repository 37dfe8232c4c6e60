"""What one message, setting or answer may cost: twice as much of it takes about twice the CPU.

Each input is made for one pattern or loop, so that it nearly matches, and is doubled again and
again. What is measured is how the process's own CPU time grows, never how long anything takes.
"""

import ast
import contextlib
import importlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import conformance
import destination_router
import heap_destination
from destination_router import Reject, parse_message
from destination_router.contract.times import parse_time
from destination_router.gateway.pixel import pixel_event
from destination_router.pipeline.connection import Connection
from destination_router.pipeline.globs import compile_globs
from destination_router.pipeline.mapping.field_mapping import compile_mapping
from destination_router.pipeline.paths import keys_of
from destination_router.pipeline.privacy.bare_urls import bare_url, is_url, with_bare_urls
from destination_router.pipeline.privacy.hipaa import Allowed
from destination_router.pipeline.privacy.masking import plain_identifier
from destination_router.pipeline.privacy.report import Report
from destination_router.pipeline.subscriptions.conditions import compile_condition
from destination_router.pipeline.subscriptions.fql import FqlError, parse
from destination_router.pipeline.transformations.conversions import CONVERSIONS
from destination_router.pipeline.wire import members, split_batch
from destination_router.plugins.loading import load_plugin
from destination_router.settings.redaction import hide
from destination_router.transformer.dynamic_config import resolve

FIRST, LAST = 1_000, 32_000
RESOLUTION = 100e-6
"""Below this share of a second a clock tells more of the machine than of what it ran."""

Call = Callable[[], object]


def cpu(call: Call) -> float:
    """Measure a call's CPU time, the least of three."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def growth(make: Callable[[int], Call]) -> float:
    """Say by how much more than its input the cost of a call grows: 1 for what is linear."""
    size = FIRST
    first = max(cpu(make(size)), RESOLUTION)
    worst = 0.0
    while size < LAST and worst < MOST:  # what is worse than linear is not waited for
        size *= 2
        worst = max(worst, cpu(make(size)) / first / (size / FIRST))
    return worst


MOST = 4.0
"""What is quadratic comes to 32 at the last size."""


def test_what_is_quadratic_is_seen() -> None:
    """Else the tests below would hold whatever is done."""
    pattern = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
    assert growth(lambda size: lambda: pattern.fullmatch("a@" + "." * size + "@")) >= MOST


# -- inputs made for one place ------------------------------------------------------------------

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEBUG = compile_globs(["*debug*test*", "*a*a*a*b", "x*y*z"])
MATCH = compile_condition('match(event, "*test") or contains(event, "debugtest")')
TEMPLATE_OF_MESSAGE = compile_mapping({"@template": {"@path": "$.properties.t"}})
FLATTENED = compile_mapping({"@flatten": {"value": {"@path": "$.properties"}, "separator": "."}})
SECRETS = frozenset({"s3cret/&value", "0123456789abcdef"})

Given = Callable[[str], object]
texts: dict[str, tuple[Given, Callable[[int], str]]] = {
    "an address of dots": (plain_identifier, lambda n: "a@" + "." * n + "@"),
    "an address of parts": (plain_identifier, lambda n: "a@" + "a." * n + "@"),
    "an address of blanks": (plain_identifier, lambda n: "a@b" + " ." * n),
    "an event for a glob": (DEBUG, lambda n: "debug" * n),
    "an event for stars": (DEBUG, lambda n: "a" * n),
    "an event of ends": (DEBUG, lambda n: "x" + "y" * n),
    "an event for FQL": (
        lambda text: MATCH(parse_message({"type": "track", "event": text})),
        lambda n: "debug" * n,
    ),
    "a default of blanks": (
        lambda text: resolve(text, b"{}"),
        lambda n: "{{ message.a || " + " " * n + "!",
    ),
    "a default of braces": (
        lambda text: resolve(text, b"{}"),
        lambda n: "{{ message.a || " + "} }" * n + "!",
    ),
    "a pixel's path": (
        lambda text: pixel_event("track", [(text, "v")], NOW),
        lambda n: "//" + ":\\" * n,
    ),
    "a number of zeros": (CONVERSIONS["number"], lambda n: "0" * n + "x"),
    "a time": (parse_time, lambda n: "2026-11-22T10:00:00." + "0" * n + "Z!"),
    "a template of braces": (lambda text: compile_mapping({"@template": text}), lambda n: "{{" * n),
    "a template that never closes": (
        lambda text: compile_mapping({"@template": text}),
        lambda n: "{{a}" * n,
    ),
    "a path": (keys_of, lambda n: '["' * n + "]" * n),
    "FQL": (lambda text: tried(parse, text), lambda n: "a\\." * n + "("),
    "FQL of blanks": (lambda text: tried(parse, text), lambda n: "type" + " " * n + "\0"),
    "a URL of segments": (bare_url, lambda n: "http://" + "/a:" * n),
    "a URL of percents": (bare_url, lambda n: "/" + "%25" * n + "@"),
    "a URL of schemes": (is_url, lambda n: "a:" * n + "!"),
    "a URL of marks": (is_url, lambda n: ":" * n + "a"),
    "URLs in a text": (with_bare_urls, lambda n: "see http://a;b " * n),
    "a vendor's words": (lambda text: hide(text, SECRETS), lambda n: "s3cret%25252f&amp;" * n),
    "a vendor's escapes": (lambda text: hide(text, SECRETS), lambda n: "\\" * n + "s"),
    "words that are nearly a secret": (
        lambda text: hide(text, frozenset({"secret-" * 4 + "!"})),
        lambda n: "secret-" * n,
    ),
    "an address of ats": (plain_identifier, lambda n: "@" * n),
    "a batch of brackets": (
        lambda text: tried(split_batch, b'{"batch":' + text.encode()),
        lambda n: "[" * n,
    ),
    "a batch of texts": (
        lambda text: tried(split_batch, b'{"batch":[NaN,' + text.encode()),
        lambda n: '"\\' * n,
    ),
    "a batch of blanks": (
        lambda text: tried(split_batch, b'{"batch":[NaN' + text.encode() + b"]}"),
        lambda n: " a" * n,
    ),
    "members": (lambda text: tried(members, text.encode()), lambda n: "{" + '"a":NaN,' * n),
}


def tried(call: Callable[[Any], object], given: Any) -> None:
    with contextlib.suppress(Reject, FqlError):
        call(given)


@pytest.mark.parametrize(("given", "make"), texts.values(), ids=texts)
def test_a_text_costs_no_more_than_it_is_long(given: Given, make: Callable[[int], str]) -> None:
    """However nearly it matches, nothing goes back and forth in it."""

    def call(size: int) -> Call:
        text = make(size)
        return lambda: given(text)

    assert growth(call) < MOST


def test_the_path_of_a_pixel_is_bounded() -> None:
    """No name of an event is longer."""
    event = pixel_event("track", [("a" * 1_000_000 + "\\", "1"), ("event", "E")], NOW)
    assert b"aaa" not in event
    assert b'"event":"E"' in event


def bushy(size: int) -> dict[str, Any]:
    """Make an object whose one long name stands above many short ones."""
    return {"k" * size: {str(number): None for number in range(size)}}


def deep(size: int) -> dict[str, Any]:
    """Make an object that is nested, under long names."""
    value: dict[str, Any] = {}
    for number in range(100):
        value = {f"{number}" + "k" * (size // 100): value, "n": None}
    return value


def decide(dialect: str) -> Callable[[dict[str, Any]], object]:
    settings = {"appId": "11", "dialect": dialect}
    connection = Connection("heap", load_plugin("heap"), settings)

    def call(properties: dict[str, Any]) -> object:
        event = {"type": "track", "event": "E", "userId": "u", "properties": properties}
        return connection.decide(msgspec.json.encode(event))

    return call


def reported(properties: dict[str, Any]) -> None:
    Report(Allowed(), people=2).add(
        parse_message({"type": "track", "messageId": "m", "properties": properties})
    )


objects: dict[str, Callable[[dict[str, Any]], object]] = {
    **{dialect: decide(dialect) for dialect in ("heap", "segment", "segment-cloud", "rudderstack")},
    "@flatten": lambda properties: tried(
        FLATTENED, parse_message({"type": "track", "properties": properties})
    ),
    "report": reported,
}


@pytest.mark.parametrize("given", objects.values(), ids=objects)
@pytest.mark.parametrize("make", [bushy, deep])
def test_names_above_others_are_not_repeated_without_end(
    given: Callable[[dict[str, Any]], object], make: Callable[[int], dict[str, Any]]
) -> None:
    """Flattened, each name repeats those above it: beyond a bound that is a rejection.

    Up to the bound the cost may grow faster than the message; what counts is where it ends.
    """
    bound = 3 * LAST  # flattened: thousands of millions of characters, were there no bound
    whole, half = make(bound), make(bound // 2)
    assert cpu(lambda: given(whole)) < 4 * MOST * max(cpu(lambda: given(half)), RESOLUTION)
    assert peak(lambda: given(whole)) < 100_000_000


def peak(call: Call) -> int:
    """Measure how many bytes a call holds at most."""
    import tracemalloc  # noqa: PLC0415 -- slows down whatever runs after it is imported

    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_template_of_a_message_is_bounded() -> None:
    """It may name a large field often: what comes of that is no larger than `@liquid`'s."""
    for template, value in (("{{properties.a}}" * 60, "a" * 100_000), ("{{x}}" * 1_000, "")):
        message = parse_message(
            {"type": "track", "messageId": "m", "properties": {"t": template, "a": value}}
        )
        with pytest.raises(Reject) as refused:
            TEMPLATE_OF_MESSAGE(message)
        assert refused.value.code == "too_large"


# -- every regular expression that a module keeps -----------------------------------------------

ENDED = "destination_router.pipeline.wire._MARK.finditer"
"""It looks for marks, and a text that it is given ends with one."""

METHODS = {"match", "fullmatch", "search", "sub", "split", "findall", "finditer"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """List each pattern that a module keeps by name, with the methods it is used by."""
    for package in (destination_router, heap_destination, conformance):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            if "scaffold" in path.parts or "re.compile" not in (text := path.read_text("utf-8")):
                continue
            name = ".".join((root.name, *path.relative_to(root).with_suffix("").parts))
            module = importlib.import_module(name.removesuffix(".__init__"))
            for node in ast.walk(ast.parse(text)):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in METHODS
                    and isinstance(node.value, ast.Name)
                    and isinstance(found := getattr(module, node.value.id, None), re.Pattern)
                ):
                    yield f"{name}.{node.value.id}.{node.attr}", found, node.attr


def attacks(pattern: re.Pattern[Any]) -> list[str]:
    """List what to repeat: the characters that the pattern names, alone and two by two."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    named = sorted({char for char in source if char.isprintable() and not char.isalnum()})
    singles = ["a", "0", " ", *named][:16]
    return [*singles, *(f"a{one}" for one in singles), *(f"{one}{one}a" for one in singles)]


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        pytest.param(found, method, id=name)
        for name, found, method in dict.fromkeys(patterns())
        if name != ENDED
    ],
)
def test_a_regular_expression_is_linear(pattern: re.Pattern[Any], method: str) -> None:
    """A pattern that goes back and forth is written otherwise, possessive, or part by part."""
    is_text = isinstance(pattern.pattern, str)

    def call(repeated: str, start: str, end: str, size: int) -> Call:
        text = start + repeated * (size // len(repeated)) + end
        given: Any = text if is_text else text.encode()
        if method == "sub":
            return lambda: pattern.sub(given[:0], given)
        run = getattr(pattern, method)
        return lambda: list(run(given)) if method == "finditer" else run(given)

    for repeated in attacks(pattern):
        for start, end in (("", ""), ("a@", "!"), ("//", "\n"), ("{{ a.b || ", "!")):
            first, last = (call(repeated, start, end, size) for size in (2_000, 8_000))
            before = max(cpu(first), RESOLUTION)
            once = time.process_time()
            last()
            if time.process_time() - once > 4 * MOST * before:  # else there is no need to repeat
                assert cpu(last) < 4 * MOST * before, f"{repeated!r} between {start!r} and {end!r}"
