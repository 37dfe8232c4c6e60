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

Reference = Callable[..., list[Any]]


@pytest.fixture
def reference(node: str) -> Reference:
    """Ask Segment's code what it makes of messages; what to ask is in `reference.cjs`.

    With `mappings`, each answer is `{"requests": [{"url", "json"}]}` or `{"rejected": reason}`;
    with `triggers`, whether each of them takes the message.
    """
    if not (FOLDER / "node_modules" / "@segment" / "action-destinations").is_dir():
        reason = "Segment's destination is not installed; run scripts/test-sdks --prepare"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def ask(messages: list[dict[str, Any]], **question: Any) -> list[Any]:
        done = subprocess.run(
            [node, FOLDER / "reference.cjs"],
            input=json.dumps({**question, "messages": messages}),
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "TZ": "UTC"},  # as on Segment's servers
        )
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return ask
