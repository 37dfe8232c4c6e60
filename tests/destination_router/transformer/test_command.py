"""`destination-router transformer` as people start it: its configuration and its log.

Modules: `transformer/server.py`, `commands/transformer.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformer_process import Transformer
from waiting import PATIENCE, closed_port

from destination_router.faults import UsageError
from destination_router.settings.errors import SettingsError
from destination_router.transformer.server import TransformerOptions, build_transformer

OPEN = """
from destination_router import hookimpl

@hookimpl
def settings_schema():
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {"host": {"type": "string", "default": "https://api.vendor.example"}},
    }

@hookimpl
def on_identify():
    return []

@hookimpl
def on_track():
    return []

@hookimpl
def origins(settings):
    return [settings["host"]]
"""
"""A destination whose users may have a host of their own."""

ANONYMOUS = {"type": "track", "anonymousId": "a-1", "event": "E"}


@pytest.mark.parametrize("name", ["d1", "shop"])
def test_a_configuration_adds_to_a_destination(
    start: Callable[..., Transformer], tmp_path: Path, name: str
) -> None:
    """A connection with the id or name of a destination gives it settings that it does not have."""
    config = tmp_path / "router.toml"
    config.write_text(
        f'[[connections]]\nname = "{name}"\nplugin = "heap"\n'
        '[connections.settings]\nappId = "99"\nanonymousEvents = "stitch"\n'
        '[delivery]\norigins = {"https://heapanalytics.com" = "http://127.0.0.1:9"}\n'
    )
    running = start("--config", str(config))

    (added,) = running.ask(ANONYMOUS)
    (own,) = running.ask(ANONYMOUS, anonymousEvents="reject")

    assert added["output"]["endpoint"] == "http://127.0.0.1:9/api/track"
    body = added["output"]["body"]["JSON"]
    assert (body["app_id"], "user_id" in body) == ("11", True)
    assert own["statusCode"] == 400


def test_origins_alone_are_a_configuration(
    start: Callable[..., Transformer], tmp_path: Path
) -> None:
    """Whoever only sends a vendor's origin elsewhere has no connection to write."""
    config = tmp_path / "router.toml"
    config.write_text(
        '[delivery]\norigins = {"https://heapanalytics.com:443/" = "http://127.0.0.1:9"}\n'
    )
    (sent,) = start("--config", str(config)).ask(ANONYMOUS)
    assert sent["output"]["endpoint"] == "http://127.0.0.1:9/api/integrations/track"


def test_an_origin_that_no_destination_can_send_to_ends_it_at_once(tmp_path: Path) -> None:
    """Test traffic would reach the vendor, whatever rudder-server's destinations say."""
    config = tmp_path / "router.toml"
    config.write_text('[delivery]\norigins = {"https://heapanalytic.com" = "http://127.0.0.1:9"}\n')
    command = [sys.executable, "-m", "destination_router.commands.cli", "transformer"]
    done = subprocess.run(
        [*command, "--listen", "127.0.0.1:0", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "delivery.origins: no connection sends to" in told
    assert "did you mean https://heapanalytics.com?" in told


def test_an_origin_that_a_setting_may_name_is_warned_of(
    start: Callable[..., Transformer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It serves, and its log says which origin may be mistyped, and whose settings could say."""
    (tmp_path / "open_destination.py").write_text(OPEN)
    metadata = tmp_path / "open_destination-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: open\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[destination_router]\nopen = open_destination\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = tmp_path / "router.toml"
    config.write_text('[delivery]\norigins = {"https://mine.example" = "http://127.0.0.1:9"}\n')

    (line,) = start("--config", str(config)).stop()

    assert (line["level"], line["event"]) == ("warning", "origin_unknown")
    assert "https://mine.example" in line["detail"]
    assert "(open)" in line["detail"]


@pytest.mark.parametrize(
    "table", ['[privacy]\nmode = "hipaa"', '[[transformations]]\nname = "x"', "connections = []"]
)
def test_what_protects_wants_a_connection(tmp_path: Path, table: str) -> None:
    """What a file says of all its connections would go unheeded without any."""
    config = tmp_path / "router.toml"
    config.write_text(f"{table}\n")
    with pytest.raises(SettingsError, match="connections"):
        build_transformer(TransformerOptions(config=config))


@pytest.mark.parametrize("content", ["name = 5", 'name = "d1"\nplugin = "Heap"'])
def test_a_configuration_that_cannot_be_used_ends_it_at_once(tmp_path: Path, content: str) -> None:
    """Whoever starts it is told which field is wrong, and nothing listens."""
    config = tmp_path / "router.toml"
    config.write_text(f"[[connections]]\n{content}\n")
    command = [sys.executable, "-m", "destination_router.commands.cli", "transformer"]
    done = subprocess.run(
        [*command, "--config", str(config), "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "connections" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_serves_never_loads_what_reads_command_lines() -> None:
    """It would be a quarter of the memory that a server holds for good."""
    loaded = "import sys, destination_router.transformer.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert "uvicorn" in done.stdout.split()
    assert not {"typer", "pydantic", "destination_router.commands.cli"} & set(done.stdout.split())


def test_an_upstream_that_is_not_there_is_told_at_the_start(
    start: Callable[..., Transformer],
) -> None:
    """Whoever mistypes its URL need not wait for an event to learn of it."""
    running = start("--upstream", f"http://127.0.0.1:{closed_port()}")
    assert running.process.stderr is not None
    line = json.loads(running.process.stderr.readline())

    assert running.stop() == []
    assert (line["event"], line["error"]) == ("upstream_unreachable", "ConnectError")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9091", "http://", "http://[::1", "http://x:y", "ftp://x", "http://x/\udcff"]
)
def test_an_upstream_that_is_no_url_is_refused(url: str) -> None:
    """Before anything listens; the option is named, and how to write it."""
    with pytest.raises(UsageError, match="--upstream: write a URL, as http://"):
        build_transformer(TransformerOptions(upstream=url))


def test_what_only_run_does_is_told(start: Callable[..., Transformer], tmp_path: Path) -> None:
    """A quarantine that somebody relies on does not stay away in silence."""
    config = tmp_path / "router.toml"
    config.write_text(
        '[[connections]]\nname = "d1"\nplugin = "heap"\n'
        "[quarantine]\nanonymous_ids = 5\n[delivery]\nlinger = 1\n"
        '[alerts]\nurl = { env = "NO_SUCH_URL" }\n'
    )
    running = start("--config", str(config))

    (line,) = running.stop()

    keys = ["delivery.linger", "quarantine", "alerts"]
    assert (line["event"], line["keys"]) == ("config_not_used", keys)


def test_its_log_is_one_json_object_a_line_without_values(
    start: Callable[..., Transformer],
) -> None:
    """As that of `run`: what is left out is named by its key, once for each configuration."""
    running = start()
    running.ask(ANONYMOUS, ANONYMOUS, trackingPlan="ada@example.com")

    (line,) = running.stop()

    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "config_keys_left_out",
        "plugin": "heap",
        "keys": ["trackingPlan"],
    }
