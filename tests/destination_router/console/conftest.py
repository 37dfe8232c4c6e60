"""A console on a real socket."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_served import TOML, Served, Start

from destination_router.service.serving import Asgi


@pytest.fixture
def console_of(tmp_path: Path, serve: Callable[[Asgi], str]) -> Iterator[Start]:
    """Serve a console; takes the router.toml and what `[console]` says."""
    running: list[Served] = []

    def start(toml: str = TOML, **console: Any) -> Served:
        served = Served(tmp_path, toml, **console)
        served.start(serve)
        running.append(served)
        return served

    yield start
    for served in running:
        served.close()


@pytest.fixture
def console(console_of: Start) -> Served:
    return console_of()
