"""deploy/container: the router as a container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy/container/Containerfile"


def test_hadolint_finds_nothing() -> None:
    """The linter of container files."""
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        assert os.environ.get("CI") != "true", "scripts/test-deploy --prepare installs hadolint"
        pytest.skip("hadolint is missing: scripts/test-deploy --prepare")
    ran = subprocess.run([linter, CONTAINERFILE], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_it_runs_as_nobody_in_particular_and_is_asked_how_it_is() -> None:
    """Not root, by number so that Kubernetes can tell; its health is looked at."""
    text = CONTAINERFILE.read_text()
    last_stage = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == ["10001:10001"]
    assert "\nHEALTHCHECK " in last_stage
    assert re.search(r"^ENTRYPOINT \[", last_stage, re.MULTILINE), "a shell would not pass SIGTERM"


def test_a_secret_on_this_machine_does_not_get_into_it() -> None:
    """What is copied leaves out the history, environments and whatever was built or reported."""
    left_out = (ROOT / ".containerignore").read_text().split()
    assert {".git", ".venv", "reports"} <= set(left_out)
