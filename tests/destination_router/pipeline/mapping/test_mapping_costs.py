"""What benchmarks/mapping.py compares is the same work; what it costs, it measures itself."""

from __future__ import annotations

import mapping as benchmark


def test_the_benchmark_compares_like_with_like() -> None:
    """The way from before mappings existed comes to the same decisions as today's."""
    connection = benchmark.connection()
    before = benchmark.before(connection)
    for raw in benchmark.messages()[:50]:
        assert before(raw) == connection.decide(raw)
