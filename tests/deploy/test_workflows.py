""".github/workflows: they cannot run here, so they are linted, and held to what the scripts do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def test_actionlint_finds_nothing() -> None:
    """Syntax, expressions, and the shell in them."""
    linter = shutil.which("actionlint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if linter is None:
        assert os.environ.get("CI") != "true", "scripts/test-deploy --prepare installs actionlint"
        pytest.skip("actionlint is missing: scripts/test-deploy --prepare")
    ran = subprocess.run([linter, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_each_script_that_a_workflow_runs_is_there(workflow: Path) -> None:
    """A renamed script would be noticed at the next release only."""
    for name in re.findall(r"(?:\./)?((?:scripts|\.ci)/[\w-]+)", workflow.read_text()):
        assert os.access(ROOT / name, os.X_OK), name
