"""A router.toml whose vendors are simulated, here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from destination_router.service.serving import Asgi
from heap_destination.simulator import create_simulator

TOML = """
[gateway]
write_keys = ["a-key"]

[eventlog]
url = "sqlite:///{folder}/router.db"

[delivery]
origins = {{ "*" = "{vendor}" }}
linger = "5ms"

[[connections]]
name = "heap-production"
plugin = "heap"
settings = {{ appId = "11" }}

[[connections]]
name = "heap-staging"
plugin = "heap"
settings = {{ appId = "22" }}
"""


@pytest.fixture
def vendor(serve: Callable[[Asgi], str]) -> str:
    """A simulated Heap."""
    return serve(create_simulator())


@pytest.fixture
def router_toml(tmp_path: Path, vendor: str) -> Path:
    """Two connections to one vendor."""
    path = tmp_path / "router.toml"
    path.write_text(TOML.format(folder=tmp_path, vendor=vendor))
    return path
