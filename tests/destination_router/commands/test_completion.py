"""Shell completion: what a shell is told while somebody types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("destination-router")


def completed(*words: str, shell: str = "bash") -> list[str]:
    """Ask as the shell's own function asks."""
    environment = os.environ | {
        "_DESTINATION_ROUTER_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": " ".join(("destination-router", *words)),
        "COMP_CWORD": str(len(words)),
    }
    ran = subprocess.run([COMMAND], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_a_command_is_completed_also_one_that_was_added() -> None:
    """`conformance` is contributed by another package."""
    assert {"connections", "conformance"} <= set(completed("con"))


def test_an_option_and_a_command_of_a_group_are_completed() -> None:
    """Down to the last level."""
    assert completed("send", "--orig") == ["--origin"]
    assert completed("dead-letters", "rep") == ["replay"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_installed_by_one_command(shell: str, tmp_path: Path) -> None:
    """Into the home of whoever asks, and nowhere else."""
    ran = subprocess.run(
        [COMMAND, "--install-completion", shell],
        env=os.environ
        | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_DESTINATION_ROUTER_COMPLETE" in path.read_text() for path in written)
