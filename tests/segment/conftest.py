"""Segment's own destination, run by Node; `scripts/test-sdks --prepare` installs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent

Mappings = dict[str, dict[str, Any]]
Reference = Callable[[list[dict[str, Any]], Mappings], list[dict[str, Any]]]


@pytest.fixture
def reference(node: str) -> Reference:
    """Ask Segment's destination what it makes of messages.

    Each answer is `{"requests": [{"url", "json"}, ...]}` or `{"rejected": reason}`.
    """
    if not (FOLDER / "node_modules" / "@segment" / "action-destinations").is_dir():
        reason = "Segment's destination is not installed; run scripts/test-sdks --prepare"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def ask(messages: list[dict[str, Any]], mappings: Mappings) -> list[dict[str, Any]]:
        done = subprocess.run(
            [node, FOLDER / "reference.cjs"],
            input=json.dumps({"mappings": mappings, "messages": messages}),
            capture_output=True,
            check=True,
            text=True,
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return ask
