"""What a router.toml may hold, as JSON Schema: each table with its keys.

It leaves the settings of plugins, transformations and privacy open. Their own modules check them
when a connection is made.
"""

from __future__ import annotations

from destination_router.config.origins import ORIGIN, ORIGIN_MEANING
from destination_router.contract.records import Json
from destination_router.settings.words import NOT_BLANK
from destination_router.units import DURATION, SIZE

SQLITE_URL = "sqlite:///"
KAFKA_URL = "kafka://"
LAST_PORT = 65535


_TEXT = {"type": "string", "pattern": NOT_BLANK}
_MAPPING = {"type": "object", "additionalProperties": {"type": "object"}}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 10**9}
GATEWAY: dict[str, Json] = {
    "listen": {
        "type": "string",
        "pattern": "^.+:[0-9]+$",
        "description": "Write host:port, such as 127.0.0.1:8080.",
    },
    "write_keys": {"type": "array", "items": {"type": "string"}},
    "max_events": _COUNT,
    "max_bodies": SIZE,
    "max_headers": SIZE,
    "max_connections": _COUNT,
    "arrival_timeout": DURATION,
}
EVENTLOG: dict[str, Json] = {
    "url": {
        "type": "string",
        "pattern": (
            f"^{SQLITE_URL}.+|"
            rf"^{KAFKA_URL}[^\s,/]+:[0-9]+(,[^\s,/]+:[0-9]+)*/[A-Za-z0-9._-]{{1,150}}(?![\s\S])"
        ),
        "description": "Write sqlite:///router.db, or kafka://host:9092,host2:9092/prefix.",
    },
    "keep_delivered": DURATION,
    "max_age": DURATION,
    "max_size": SIZE,
    "max_dead_letters_size": SIZE,
    "min_free": SIZE,
    "new_connections": {"enum": ["end", "start"]},
    "keep_dead_letters": DURATION,
    "kafka": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "tls": {"type": "boolean"},
            "ca_file": _TEXT,
            "certificate_file": _TEXT,
            "key_file": _TEXT,
            "key_password": {"type": "string", "writeOnly": True},
            "sasl": {"enum": ["plain", "scram-sha-256", "scram-sha-512"]},
            "username": _TEXT,
            "password": {"type": "string", "writeOnly": True},
            "partitions": {"type": "integer", "minimum": 1, "maximum": 1000},
            "replication": {"type": "integer", "minimum": 1, "maximum": 10},
        },
    },
}
MOST_WORKERS = 64
"""The most processes that may deliver: more than a machine has cores only cost memory."""

DELIVERY: dict[str, Json] = {
    "origins": {
        "type": "object",
        "propertyNames": {"pattern": f"^[*]$|{ORIGIN}", "description": ORIGIN_MEANING},
        "additionalProperties": {
            "type": "string",
            "pattern": ORIGIN,
            "description": ORIGIN_MEANING,
        },
    },
    "window": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "linger": DURATION,
    "concurrency": _COUNT,
    "timeout": DURATION,
    "max_answer": SIZE,
    "first_wait": DURATION,
    "longest_wait": DURATION,
    "max_attempts": _COUNT,
    "max_age": DURATION,
    "circuit_failures": _COUNT,
    "hold_wait": DURATION,
    "longest_hold": DURATION,
    "parked_messages": _COUNT,
    "skip_repeats": {"type": "boolean"},
    "remembered_states": {**_COUNT, "minimum": 0},
    "workers": {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS},
}
CONSOLE: dict[str, Json] = {
    "listen": {
        "type": "string",
        "pattern": "^.+:[0-9]+$",
        "description": "Write host:port, such as 127.0.0.1:8081.",
    },
    "password": {"type": "string", "writeOnly": True},
    "viewer_password": {"type": "string", "writeOnly": True},
    "url": {
        "type": "string",
        "pattern": ORIGIN,
        "description": "Write what people type, without a path: https://console.example.com.",
    },
    "keep": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "content": {"type": "boolean"},
}
QUARANTINE: dict[str, Json] = {
    "enabled": {"type": "boolean"},
    "anonymous_ids": _COUNT,
    "changed_traits": _COUNT,
    "period": DURATION,
    "allow": {"type": "array", "items": _TEXT},
}


ALERTS: dict[str, Json] = {
    "url": {
        "type": "string",
        "writeOnly": True,
        "pattern": r"^\s*https?://[^\s/?#]+\S*\s*$",
        "description": 'Write { env = "ALERT_URL" }, whose value is http(s)://host and a path.',
    },
    "format": {"enum": ["json", "slack"]},
    "circuit_open": DURATION,
    "dead_letters": _COUNT,
    "period": DURATION,
    "interval": DURATION,
}


def _table(properties: dict[str, Json], *required: str) -> dict[str, Json]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


_SUBSCRIPTION: dict[str, Json] = {
    "name": {"type": "string"},
    "subscription": _TEXT,
    "mapping": _MAPPING,
}
_SOURCE: dict[str, Json] = {
    "name": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}(?![\s\S])",
        "description": "Write letters, digits, blanks, dots, dashes; at most 64 characters.",
    },
    "write_keys": {"type": "array", "items": {"type": "string"}},
    "enabled": {"type": "boolean"},
}
_CONSENT: dict[str, Json] = {
    "provider": _TEXT,
    "categories": {"type": "array", "minItems": 1, "items": _TEXT},
    "resolution": {"enum": ["and", "or"]},
    "when_absent": {"enum": ["pass", "filter"]},
    "legacy": {"type": "boolean"},
}
PROGRAM: dict[str, Json] = {
    "command": {"type": "array", "minItems": 1, "items": _TEXT},
    "folder": _TEXT,
    "timeout": DURATION,
}
_CONNECTION: dict[str, Json] = {
    "name": _TEXT,
    # The name of a plugin that is installed, or a program: what is said of text holds for text.
    "plugin": {**_table(PROGRAM, "command"), "type": ["string", "object"], "pattern": NOT_BLANK},
    "settings": {"type": "object"},
    "clientSide": {"type": "boolean"},
    "sources": {"type": "array", "items": _TEXT},
    "consent": {"type": "array", "items": _table(_CONSENT, "provider", "categories")},
    "privacy": {"type": "object"},
    "transformations": {"type": "array", "items": {"type": "object"}},
    "subscription": _TEXT,
    "mapping": _MAPPING,
    "subscriptions": {
        "type": "array",
        "minItems": 1,
        "items": _table(_SUBSCRIPTION, "subscription"),
    },
}


SCHEMA: dict[str, Json] = _table(
    {
        "gateway": _table(GATEWAY),
        "sources": {"type": "array", "items": _table(_SOURCE, "name", "write_keys")},
        "eventlog": _table(EVENTLOG),
        "console": _table(CONSOLE),
        "delivery": _table(DELIVERY),
        "quarantine": _table(QUARANTINE),
        "alerts": _table(ALERTS, "url"),
        "privacy": {"type": "object"},
        "transformations": {"type": "array", "items": {"type": "object"}},
        "connections": {
            "type": "array",
            "minItems": 1,
            "items": _table(_CONNECTION, "name", "plugin"),
        },
    },
    "connections",
)

ALSO_EMPTY: dict[str, Json] = {**SCHEMA, "required": []}
"""As `SCHEMA`, for commands that need no connection."""
