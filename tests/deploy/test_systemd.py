"""deploy/systemd: the service that systemd runs the router as."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from destination_router.config.router_toml import load_config

UNIT = Path(__file__).parents[2] / "deploy/systemd/destination-router.service"
README = UNIT.with_name("README.md")
MOST_EXPOSED = 15
"""In tenths, of systemd's scale from 0 (nothing is exposed) to 10."""


@pytest.fixture
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        assert os.environ.get("CI") != "true", "scripts/test-deploy --prepare installs systemd"
        pytest.skip("systemd-analyze is missing: scripts/test-deploy --prepare")
    return found


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_systemd_finds_it_hardened(systemd_analyze: str) -> None:
    """Its rating holds `MOST_EXPOSED`: no right that the router does not need."""
    ran = subprocess.run(
        [systemd_analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"rates the service below {MOST_EXPOSED / 10} of 10" in README.read_text()


def test_systemd_understands_every_line(systemd_analyze: str, tmp_path: Path) -> None:
    """No setting is misspelt; only the program is not where a real machine has it."""
    program = tmp_path / "destination-router"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/destination-router/bin", str(tmp_path)))
    ran = subprocess.run(
        [systemd_analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    about_us = [line for line in ran.stderr.splitlines() if "destination-router" in line]
    assert (ran.returncode, about_us) == (0, [])


def test_it_is_stopped_later_than_the_router_ends_by_itself() -> None:
    """The router takes up to 10 seconds; a configuration's error is not tried again and again."""
    told = settings()
    assert int(told["TimeoutStopSec"][0]) > 10
    assert told["RestartPreventExitStatus"] == ["2"]
    assert told["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_its_readme_configures_a_log_that_it_may_write(tmp_path: Path) -> None:
    """The router.toml of the page, with a connection, is one that the router takes."""
    (toml,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    config = tmp_path / "router.toml"
    text = re.sub(r"^ {4}", "", toml, flags=re.MULTILINE)
    config.write_text(f'{text}\n[[connections]]\nname = "h"\nplugin = "heap"\n')
    folder = f"/var/lib/{settings()['StateDirectory'][0]}"
    assert str(load_config(config).eventlog.path).startswith(f"{folder}/")
