"""Whatever stands in a router.toml, reading it gives a configuration or says what is wrong.

Modules: `config/router_toml.py`, `config/problems.py`, `config/schema.py`, `settings/`,
`pipeline/` as far as it compiles a connection.
"""

import contextlib
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nonsense import damaged, json_like, toml_scalars

from destination_router.config.problems import ConfigError
from destination_router.config.router_toml import load_config, parse_config
from destination_router.pipeline.connection import configured
from destination_router.plugins.loading import PluginError, load_plugin
from destination_router.settings.errors import SettingsError, TableError

WHOLE = b"""
[gateway]
listen = "127.0.0.1:8080"
write_keys = [{ env = "WRITE_KEY" }, "a key"]
max_body = "4 MB"

[eventlog]
url = "sqlite:///router.db"
max_age = "7d"

[delivery]
timeout = "30s"
window = 500
origins = { "https://heapanalytics.com" = "http://127.0.0.1:9100" }

[privacy]
keys = { v1 = "0123456789abcdef0123456789abcdef" }

[[transformations]]
drop_events = ["Debug *"]

[[connections]]
name = "heap"
plugin = "heap"
subscription = 'type = "track" and !match(event, "*x")'
[connections.settings]
appId = "11"
[connections.mapping.track]
identity = { "@path" = "$.traits.email" }
name = { "@template" = "{{properties.a}}" }
[[connections.transformations]]
when = 'name = "Home"'
rename = { "properties.a" = "b" }
"""
CONTENT: dict[str, Any] = tomllib.loads(WHOLE.decode())
CONNECTION: dict[str, Any] = CONTENT["connections"][0]
NAMES = [*CONTENT, *CONNECTION, "@path", "@liquid", "@if", "env", "file", "allow", "mode", "track"]
value = json_like(NAMES, toml_scalars)


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.one_of(damaged(WHOLE), st.binary(max_size=200)))
def test_whatever_a_file_holds_is_read_or_refused(content: bytes) -> None:
    """In words: nothing else is raised."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigError):
        path = Path(folder) / "router.toml"
        path.write_bytes(content)
        load_config(path)


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*CONTENT, "alerts", "console", "sources", "quarantine"]), value)
def test_whatever_a_table_holds_is_read_or_refused(name: str, table: Any) -> None:
    """Each table alone, with the others as they should be."""
    with contextlib.suppress(SettingsError):
        parse_config({**CONTENT, name: table})


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*CONNECTION, "privacy", "consent", "sources"]), value)
def test_whatever_a_connection_holds_compiles_or_is_refused(name: str, part: Any) -> None:
    """Its settings, subscription, mapping, transformations and privacy, each alone."""
    content = {"connections": [{**CONNECTION, name: part}]}
    message = {"type": "track", "messageId": "m", "userId": "u", "event": "E"}
    with contextlib.suppress(SettingsError, TableError, PluginError):
        config = parse_config(content, gateway=False)
        connection = configured(config.connections[0], load_plugin("heap"))
        decision = connection.decide(msgspec.json.encode(message))
        assert decision.reject is None or decision.reject.code != "plugin_error", decision
