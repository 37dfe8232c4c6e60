"""Finding a destination, its cases, and settings that work."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.bench import find_cases, open_bench, sample_settings


def test_heaps_cases_come_with_the_suite() -> None:
    """A destination that the suite knows needs no folder of its own."""
    folder = find_cases("heap")
    assert folder is not None
    assert folder.parts[-3:] == ("conformance", "cases", "heap")


def test_a_destination_without_cases_has_none() -> None:
    """The checks alone can be run on it."""
    assert find_cases("nobody") is None
    bench = open_bench("nobody")
    assert (bench.subject, bench.case_set.cases) == (None, ())
    assert "no plugin called 'nobody' is installed" in bench.load_error


def test_a_bench_says_whose_destination_it_is() -> None:
    """The report names distribution and version."""
    bench = open_bench("heap")
    assert bench.distribution == "heap-destination"
    assert bench.version
    assert bench.settings == bench.case_set.settings


@pytest.mark.parametrize(
    ("field", "sample"),
    [
        ({"type": "string", "examples": ["a"]}, "a"),
        ({"enum": ["US", "EU"]}, "US"),
        ({"const": 7}, 7),
        ({"type": "integer"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "string"}, "1"),
    ],
)
def test_sample_settings(field: dict[str, Any], sample: Any) -> None:
    """What a schema requires is filled in as it says; defaults are left to the host."""
    schema = {
        "properties": {"a": field, "b": {"default": 1}, "c": {}},
        "required": ["a", "b"],
    }
    assert sample_settings(schema) == {"a": sample}
