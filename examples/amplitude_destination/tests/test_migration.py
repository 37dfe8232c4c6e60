"""What other systems exported becomes a router.toml that holds no key."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

EXPORT = {
    "name": "Amplitude (Prod)",
    "settings": {"apiKey": "do-not-write-me", "endpoint": "europe"},
    "metadata": {"slug": "actions-amplitude"},
}


def test_an_exported_key_moves_to_the_environment(tmp_path: Path) -> None:
    """The file names a variable in its place, and the command says which to set."""
    export = tmp_path / "destination.json"
    export.write_text(json.dumps(EXPORT))
    command = [sys.executable, "-m", "destination_router_start", "import", "segment"]
    done = subprocess.run([*command, str(export)], capture_output=True, text=True, check=True)
    (connection,) = tomllib.loads(done.stdout)["connections"]
    assert connection["settings"]["apiKey"] == {"env": "AMPLITUDE_PROD_API_KEY"}
    assert connection["settings"]["region"] == "EU"
    assert "set the environment variable AMPLITUDE_PROD_API_KEY to it" in done.stderr
    assert "do-not-write-me" not in done.stdout + done.stderr
