"""`@liquid` within bounds: a template that a message lets grow costs its message alone."""

from typing import Any

import pytest

from destination_router.contract.records import Reject
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
