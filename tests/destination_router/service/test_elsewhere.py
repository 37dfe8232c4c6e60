"""An origin that no connection sends to is refused by all that would send past it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import run_command as run

from destination_router import hookimpl
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import check_destination
from destination_router.service.elsewhere import look_over, refuse_strange

TYPO = "https://heapanalytic.com"
ELSEWHERE = "http://127.0.0.1:9"


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    path = tmp_path / "messages.jsonl"
    path.write_text(json.dumps({"type": "track", "userId": "ada", "event": "E"}) + "\n")
    return path


def router_toml(folder: Path, source: str, *plugins: str) -> Path:
    path = folder / "router.toml"
    path.write_text(
        '[gateway]\nwrite_keys = ["key"]\n'
        f'[delivery.origins]\n"{source}" = "{ELSEWHERE}"\n'
        + "".join(
            f'[[connections]]\nname = "c{number}"\nplugin = "heap"\n'
            f'settings = {{appId = "11", region = "{region}"}}\n'
            for number, region in enumerate(plugins)
        )
    )
    return path


@pytest.mark.parametrize("command", ["send", "delete-user"])
def test_a_mistyped_origin_of_a_command_line_is_refused(
    command: str, messages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes to the vendor in place of the simulator."""
    monkeypatch.setenv("HEAP_API_KEY", "k")
    who = [str(messages)] if command == "send" else ["--user", "ada"]
    done = run(command, "heap", "--set", "appId=11", "--origin", f"{TYPO}={ELSEWHERE}", *who)
    assert done.returncode == 2
    assert "did you mean https://heapanalytics.com?" in done.stderr.replace("\n", " ")


def test_a_mistyped_origin_of_a_router_toml_is_refused(tmp_path: Path, messages: Path) -> None:
    """`check`, and so `run`, refuses it, and `send` does."""
    config = router_toml(tmp_path, TYPO, "US", "EU")
    checked = run("check", "--config", config)
    assert checked.returncode == 2
    assert "[delivery] origins: no connection sends to" in checked.stderr
    sent = run("send", "--config", config, "--connection", "c0", messages, cwd=tmp_path)
    assert sent.returncode == 2
    assert "no connection sends to" in sent.stderr


def test_an_origin_of_another_connection_is_none_of_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who deletes at one connection passes over what is meant for its neighbour."""
    monkeypatch.setenv("HEAP_API_KEY", "k")
    config = router_toml(tmp_path, "https://c.eu.heap-api.com/", "US", "EU")
    assert run("check", "--config", config).returncode == 0
    told = run("delete-user", "--config", config, "--connection", "c0", "--user", "a", "--dry-run")
    assert told.returncode == 0


def test_a_connection_that_goes_live_beside_a_diverted_one_is_warned_of(tmp_path: Path) -> None:
    """Test events for the EU would reach its vendor; who means that names the origin itself."""
    us, eu = "https://heapanalytics.com", "https://c.eu.heap-api.com"
    path = router_toml(tmp_path, us, "US", "EU")

    def warned() -> str:
        done = run("check", "--config", path)
        assert done.returncode == 0
        return " ".join(done.stderr.split())

    assert f"c1: still sends to {eu}, while" in warned()
    assert "c0:" not in warned()
    path.write_text(path.read_text().replace(f'"{us}" =', f'"{eu}" = "{eu}"\n"{us}" ='))
    assert "still sends" not in warned()
    router_toml(tmp_path, "*", "US", "EU")
    assert "still sends" not in warned()


def test_a_secret_that_is_too_short_to_be_hidden_is_warned_of(tmp_path: Path) -> None:
    """`check` says so; a longer one goes without a word."""
    for key, warned in (("k", True), ("a-long-key", False)):
        path = router_toml(tmp_path, "*", "US")
        path.write_text(path.read_text().replace('"11"', f'"11", deletionApiKey = "{key}"'))
        done = run("check", "--config", path)
        assert done.returncode == 0
        assert ("fewer than 8 characters" in done.stderr.replace("\n", " ")) is warned


def test_a_plugins_cautions_are_told(tmp_path: Path) -> None:
    """Merges in an environment where Heap may ignore them cost nothing but what was hoped for."""
    path = router_toml(tmp_path, "*", "US")
    assert "Main Production" not in run("check", "--config", path).stderr
    path.write_text(path.read_text().replace('"11"', '"11", anonymousEvents = "stitch"'))
    done = run("check", "--config", path)
    assert (done.returncode, "Main Production" in done.stderr.replace("\n", " ")) == (0, True)


def test_a_log_that_is_no_sqlite_file_is_one_error(tmp_path: Path) -> None:
    """A mistyped scheme is not taken for a folder."""
    path = router_toml(tmp_path, "*", "US")
    path.write_text(path.read_text() + '[eventlog]\nurl = "sqlit:///r.db"\n')
    done = run("check", "--config", path)
    assert done.returncode == 2
    assert "no folder" not in done.stderr.replace("\n", " ")
    assert "eventlog" in done.stderr


def test_where_a_plugin_names_no_origins_the_router_warns() -> None:
    """It cannot know whether an origin is sent to."""
    hooks = {
        "settings_schema": lambda: {"type": "object", "additionalProperties": False},
        "on_identify": lambda: [None],
        "on_track": lambda: [None],
    }
    plugin = check_destination(
        SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()}),
        "small",
        "small 1.0",
    )
    connection = Connection("small", plugin, {})
    assert not look_over([TYPO], [connection]).problems
    (warning,) = refuse_strange([TYPO], connection)
    assert "does not name its origins" in warning
