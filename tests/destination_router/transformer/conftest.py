"""What tests of the command have in common."""

from collections.abc import Callable, Iterator

import pytest
from transformer_process import Transformer


@pytest.fixture
def start() -> Iterator[Callable[..., Transformer]]:
    """Start transformers; whatever still runs is stopped in the end."""
    started: list[Transformer] = []

    def begin(*options: str) -> Transformer:
        started.append(Transformer(*options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.stop()
