"""docs/hosting.md: what it shows is what `scripts/test-hosts` runs, and the rest runs here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
SHOWN = {
    "router.toml": "fastapi_app/router.toml",
    "app.py": "fastapi_app/app.py",
    "job.py": "batch_job/job.py",
    "script.py": "plain_script/script.py",
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_page_shows_is_the_example(name: str) -> None:
    """To the letter, so that the example's tests hold for it."""
    head = rf"\*\*`{re.escape(name)}`\*\*\n\n```\w+\n"
    (shown,) = re.findall(rf"{head}(.*?)```", PAGE, re.DOTALL)
    assert shown == (ROOT / "examples" / "hosting" / SHOWN[name]).read_text(encoding="utf-8")


def test_pluggy_alone_works_as_shown(tmp_path: Path) -> None:
    """With a manager for each destination; warnings are errors."""
    code = re.findall(r"## Pluggy alone.*?```python\n(.*?)```", PAGE, re.DOTALL)[0]
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("heap [HttpRequest(url='https://c.eu.heap-api.com/api/track'")


def test_the_page_names_what_is_exported() -> None:
    """Whoever reads it can import it."""
    for statement in re.findall(r"^from destination_router import (.*)$", PAGE, re.MULTILINE):
        exec(f"from destination_router import {statement}", {})
