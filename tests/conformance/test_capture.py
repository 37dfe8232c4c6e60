"""Capturing what the SDKs send: the messages of the `sdk-python` cases are real."""

from __future__ import annotations

import json
import subprocess
import sys

from conformance.bench import find_cases
from conformance.case import load_cases


def test_the_installed_sdk_sends_what_the_cases_hold() -> None:
    """The same calls, with the same fields of the same types; ids and times differ."""
    ran = subprocess.run(
        [sys.executable, "-m", "conformance.capture_sdks"],
        capture_output=True,
        check=True,
        timeout=120,
    )
    captured = json.loads(ran.stdout)
    folder = find_cases("heap")
    assert folder is not None
    kept = [c.message for c in load_cases(folder).cases if c.id.startswith("sdk-python/")]
    assert captured["sdk"].startswith("rudder-sdk-python ")
    assert list(map(shape, captured["messages"])) == list(map(shape, kept))


def shape(message: dict[str, object] | None) -> dict[str, str]:
    assert message is not None
    return {name: type(value).__name__ for name, value in sorted(message.items())}
