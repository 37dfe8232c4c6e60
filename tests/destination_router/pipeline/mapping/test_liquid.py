"""`@liquid` within bounds: a template that a message lets grow costs its message alone."""

import tracemalloc
from typing import Any

import pytest

from destination_router import Reject, parse_message
from destination_router.pipeline.mapping.field_mapping import compile_mapping
from destination_router.pipeline.mapping.liquid import compile_template

LONG = "a" * 400_000


@pytest.mark.parametrize(
    ("template", "properties"),
    [
        ("{{ p.a | replace: 'a', p.a }}", {"a": LONG}),
        ("{{ p.a | replace: '', p.a }}", {"a": LONG}),
        ("{{ p.a | replace_first: 'a', p.a | replace: 'a', p.a }}", {"a": "a" * 2000}),
        ("{{ (1..p.n) | join }}", {"n": 10**10}),
        ("{{ (1..p.n) | join: p.a }}", {"n": 1000, "a": LONG}),
        ("{{ p.l | join: p.a }}", {"l": [0] * 10_000, "a": "b" * 10_000}),
        ("{{ p.l | join: p.a }}", {"l": [[0] * 10_000], "a": "b" * 10_000}),
        ("{{ 'now' | date: p.f }}", {"f": "%999999999d"}),
        ("{{ 'now' | date: p.f }}", {"f": "%-999999999d"}),
        ("{{ 'now' | date: p.f }}", {"f": "%Y" * 1_000_000}),
        ("{{ p.a | append: p.a | append: p.a | append: p.a }}", {"a": LONG}),
        (
            "{% assign a = p.a %}" + "{% assign a = a | append: a %}" * 30 + "{{ a }}",
            {"a": "a" * 100},
        ),
    ],
)
def test_what_would_fill_memory_rejects_the_message(
    template: str, properties: dict[str, Any]
) -> None:
    """Before it is made; the rejection says which bound it was."""
    render = compile_template(template)
    with pytest.raises(Reject) as refused:
        render({"p": properties})
    assert refused.value.code == "template_too_large"
    assert "1000000 characters" in refused.value.detail


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ p.a | replace: 'a', 'b' }}", "b"),
        ("{{ (1..3) | join: '-' }}", "1-2-3"),
        ("{{ p.l | join: ', ' }}", "x, y"),
        ("{{ '2026-01-02' | date: '%Y/%m/%d' }}", "2026/01/02"),
        ("{{ p.a | append: p.a | upcase }}", "AA"),
    ],
)
def test_what_is_within_the_bounds_is_as_before(template: str, text: str) -> None:
    """The library's own filters, unchanged."""
    assert compile_template(template)({"p": {"a": "a", "l": ["x", "y"]}}) == text


# -- through the directive, with its memory measured -----------------------------------------------

LARGE = "a" * 400_000
ROOM = 60_000_000
"""Bytes that a template may hold on the way: its limit, some times over."""


def rendered(template: str, **properties: Any) -> Any:
    message = {"type": "track", "messageId": "m", "properties": properties}
    return compile_mapping({"@liquid": template})(parse_message(message))


@pytest.mark.parametrize(
    ("template", "properties"),
    [
        ("{{ properties.a | replace: 'a', properties.a }}", {"a": LARGE}),
        ("{{ properties.a | replace: '', properties.a }}", {"a": LARGE}),
        ("{{ properties.a | append: properties.a | append: properties.a }}", {"a": LARGE}),
        ("{% assign b = properties.a | split: '' %}{{ b | join: properties.a }}", {"a": LARGE}),
        ("{{ (1..properties.n) | join }}", {"n": 10**10}),
        ("{{ (1..properties.n) | join }}", {"n": 1_002}),
        ("{% assign r = (1..properties.n) %}{{ r | join: ',' }}", {"n": 10**10}),
        ("{% if (1..properties.n) contains 'x' %}x{% endif %}", {"n": 10**10}),
        ("{{ 5 | round: properties.n }}", {"n": -(10**9)}),
        ("{{ properties.a }}{{ properties.a }}{{ properties.a }}", {"a": LARGE}),
        ("{{ properties.a | strip_html }}", {"a": "<" * 400_000}),
        ("{{ properties.a | date: '%Y' }}", {"a": "1:" * 400_000}),
        ("{{ 'now' | date: properties.a }}", {"a": "%Y" * 400_000}),
        (
            "{% capture b %}{{ properties.a }}{{ properties.a }}{{ properties.a }}{% endcapture %}",
            {"a": LARGE},
        ),
    ],
)
def test_a_template_that_asks_for_too_much_is_refused(
    template: str, properties: dict[str, Any]
) -> None:
    """The message is rejected with a code, and the memory was never taken."""
    tracemalloc.start()
    try:
        with pytest.raises(Reject) as refused:
            rendered(template, **properties)
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()
    assert refused.value.code == "template_too_large"


@pytest.mark.parametrize(
    ("template", "properties", "text"),
    [
        ("{{ properties.a | replace: 'a', 'b' }}", {"a": "aXa"}, "bXb"),
        ("{{ (1..properties.n) | join: ',' }}", {"n": 3}, "1,2,3"),
        ("{% if (1..5) contains properties.n %}yes{% endif %}", {"n": 3}, "yes"),
        ("{{ properties.a | split: '-' | join: '+' }}", {"a": "x-y"}, "x+y"),
        ("{{ 2.345 | round: 2 }}", {}, "2.35"),
        ("{{ properties.a | append: properties.a | size }}", {"a": LARGE}, "800000"),
        ("{{ '2026-11-22' | date: '%Y' }}", {}, "2026"),
        ("{{ '<b>x</b>' | strip_html }}", {}, "x"),
    ],
)
def test_what_templates_are_for_is_not_in_the_way(
    template: str, properties: dict[str, Any], text: str
) -> None:
    """Within the limits every filter does what it does without them."""
    assert rendered(template, **properties) == text
