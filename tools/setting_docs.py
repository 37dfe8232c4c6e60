"""The reference of all settings, drawn from the configuration's schema, records and docstrings.

    python tools/setting_docs.py docs/settings.md            write
    python tools/setting_docs.py --check docs/settings.md    exit 1 if stale

A block between two comments is replaced:

    <!-- settings: eventlog.kafka -->
    <!-- /settings -->
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from docstrings import items
from generated_docs import write_or_check

from destination_router.config import router_toml
from destination_router.config.schema import SCHEMA
from destination_router.contract.records import Json
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.pipeline.privacy.config import LIST_MEANINGS, MEANINGS
from destination_router.plugins.loading import load_plugin
from destination_router.units import DURATION, SIZE

BLOCK = re.compile(
    r"(?P<open><!-- settings: (?P<table>[\w.]+) -->\n).*?(?P<close><!-- /settings -->)", re.DOTALL
)

RECORDS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "router": (router_toml.RouterConfig, router_toml.SharedConfig),
    "gateway": (router_toml.GatewayConfig,),
    "sources": (router_toml.SourceConfig,),
    "eventlog": (router_toml.EventLogConfig,),
    "eventlog.kafka": (router_toml.KafkaConfig,),
    "console": (router_toml.ConsoleConfig,),
    "delivery": (DeliverySettings, router_toml.DeliveryConfig),
    "quarantine": (router_toml.QuarantineConfig,),
    "alerts": (router_toml.AlertsConfig,),
    "connections": (router_toml.ConnectionConfig,),
    "connections.plugin": (router_toml.ProgramConfig,),
    "connections.consent": (router_toml.ConsentConfig,),
    "connections.subscriptions": (router_toml.SubscriptionConfig,),
}
"""Each table that has a schema, `router` for the whole file, and what its keys become."""

OTHERS: dict[str, Mapping[str, str]] = {"privacy": MEANINGS, "privacy.allow": LIST_MEANINGS}
"""The tables that are checked when a connection is made."""

PLUGINS = ("heap",)
"""The destinations that come along, whose settings have a table each."""

_NO_BOUND = 10**9
"""The greatest count of the schema: more than anybody would write."""

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_BYTES = {"TB": 2**40, "GB": 2**30, "MB": 2**20, "KB": 2**10, "B": 1}


class Setting(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        name: as it is written in a router.toml.
        type: as Markdown, with its unit.
        default: as Markdown.
        meaning: a sentence; empty where nobody says.
    """

    name: str
    type: str
    default: str
    meaning: str


def with_settings(document: str) -> str:
    """Give a document with its tables of settings up to date."""

    def drawn(block: re.Match[str]) -> str:
        rows = [
            f"| `{each.name}` | {each.type} | {each.default} | {each.meaning} |\n"
            for each in settings(block["table"])
        ]
        table = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n" + "".join(rows)
        return f"{block['open']}\n{table}\n{block['close']}"

    return BLOCK.sub(drawn, document)


def tables() -> Iterator[str]:
    """Name every table that there is."""
    yield from (path or "router" for path in _described_tables(SCHEMA))
    yield from OTHERS
    yield from PLUGINS


def settings(table: str) -> Iterator[Setting]:
    """List the keys of a table."""
    if table in PLUGINS:
        return _of_plugin(load_plugin(table).hook.settings_schema())
    if table in OTHERS:
        kind = {"mode": "`hipaa`", "keys": "table", "allow": "table"}
        return (
            Setting(name, kind.get(name, "list of text"), "unset", _cell(meaning))
            for name, meaning in OTHERS[table].items()
        )
    return _of_records(_schema_of(table), RECORDS[table])


def _of_records(schema: Json, records: tuple[type[msgspec.Struct], ...]) -> Iterator[Setting]:
    fields = {
        field.encode_name: (field, items(inspect.getdoc(record) or "", "Attributes"))
        for record in records
        for field in msgspec.structs.fields(record)
    }
    for name, rule in schema["properties"].items():
        field, meanings = fields[name]
        meaning = _without_none(meanings.get(field.name, ""))
        default = _default(field, rule)
        if name in schema.get("required", ()):
            default, meaning = "required", _IF_UNSET.sub("", meaning)
        yield Setting(name, _type(rule), default, _cell(meaning))


def _of_plugin(schema: Json) -> Iterator[Setting]:
    for name, rule in schema["properties"].items():
        default = "required" if name in schema["required"] else _shown(rule.get("default"), rule)
        yield Setting(name, _type(rule), default, _cell(rule.get("description", "")))


def _described_tables(schema: Json, path: str = "") -> Iterator[str]:
    """Find every table whose keys a schema lists."""
    if "properties" in schema:
        yield path
        for name, rule in schema["properties"].items():
            yield from _described_tables(rule.get("items", rule), f"{path}.{name}".lstrip("."))


def _schema_of(table: str) -> Json:
    schema: Json = SCHEMA
    for name in () if table == "router" else table.split("."):
        rule = schema["properties"][name]
        schema = rule.get("items", rule)
    return schema


def _type(rule: Json) -> str:
    """Say what a value may be, from its schema."""
    if rule is DURATION:
        return "duration, in seconds"
    if rule is SIZE:
        return "size, in bytes"
    if "enum" in rule:
        return "one of " + ", ".join(f"`{value}`" for value in rule["enum"])
    match rule["type"]:
        case "integer":
            if rule["maximum"] == _NO_BOUND:
                return f"whole number, at least {rule['minimum']}"
            return f"whole number from {rule['minimum']} to {rule['maximum']}"
        case "boolean":
            return "`true` or `false`"
        case "array":
            return "list of " + ("tables" if rule["items"]["type"] == "object" else "text")
        case "object":
            return "table"
        case ["string", "object"]:
            return "text, or a table"
        case _:
            return "text, a secret" if rule.get("writeOnly") else "text"


def _default(field: msgspec.structs.FieldInfo, rule: Json) -> str:
    if field.required:
        return "required"
    value: Any = field.default
    if value is msgspec.NODEFAULT:
        factory: Any = field.default_factory
        value = factory()
    return _shown(value, rule)


def _shown(value: Json, rule: Json) -> str:
    """Write a default as one writes it in a router.toml."""
    if value is None or value == "" or (not value and isinstance(value, (tuple, dict))):
        return "unset"
    if isinstance(value, msgspec.Struct):
        return "unset"
    if isinstance(value, list):
        return ", ".join(f"`{each}`" for each in value)
    if rule is DURATION:
        return f"`{_in_units(value, _SECONDS)}`"
    if rule is SIZE:
        return f"`{_in_units(value, _BYTES)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _in_units(amount: float, units: Mapping[str, int]) -> str:
    """Write an amount in the largest unit in which it is whole; below a second, in milliseconds."""
    for unit, size in units.items():
        if amount and amount % size == 0:
            return f"{round(amount / size)}{unit}"
    return f"{round(amount * 1000)}ms" if amount else f"0{[*units][-1]}"


_IF_UNSET = re.compile(r"; [^;]* if unset(?=\.)")


def _without_none(text: str) -> str:
    """Say of a record's None what it is in a file: a key that is not there."""
    return re.sub(r"\bif None\b", "if unset", re.sub(r"\bNone(?=:)", "unset", text))


def _cell(text: str) -> str:
    text = re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", text)
    return (text[:1].upper() + text[1:]).replace("|", "\\|")


if __name__ == "__main__":
    write_or_check("Draw the reference of all settings.", __file__, with_settings)
