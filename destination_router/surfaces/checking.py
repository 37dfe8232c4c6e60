"""A router.toml looked over: every error at once, and what a vendor's stand-in says to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from destination_router.config import (
    ConnectionConfig,
    DeliveryConfig,
    RouterConfig,
    connection_config,
    parse_config,
    read_config,
)
from destination_router.delivery.sender import Sender
from destination_router.model import Json
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins import PluginError
from destination_router.settings import Problem, SettingsError
from destination_router.surfaces.choosing import connect
from destination_router.surfaces.config_problems import connection_problems, told
from destination_router.surfaces.crew import delivery_settings

_USER = "destination-router-check"
_MESSAGES = {
    "identify": {"type": "identify", "userId": _USER, "traits": {"checked": "yes"}},
    "track": {"type": "track", "userId": _USER, "event": "Router Checked", "properties": {}},
}


class Checked(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        problems: each with its table and key; empty if all is well.
        config: the router.toml; None if it is not well.
        connections: its connections, ready; those that are well.
    """

    problems: list[str]
    config: RouterConfig | None
    connections: list[Connection]


class ProbeResult(msgspec.Struct, frozen=True):
    """What became of one test message: `delivered`, or a code and the vendor's words."""

    connection: str
    call: str
    result: str
    detail: str = ""


def check_config(path: Path, *, gateway: bool = True) -> Checked:
    """Read a router.toml and make its connections ready, telling every error of either.

    Args:
        path: the file.
        gateway: whether events shall come in, for which a write key is needed.
    """
    try:
        content = read_config(path)
    except SettingsError as error:
        return Checked([str(problem) for problem in error.problems], None, [])
    config: RouterConfig | None = None
    problems: list[Problem] = []
    try:
        config = parse_config(content, gateway=gateway)
    except SettingsError as error:
        problems += error.problems
    if gateway and config is not None and not config.gateway.write_keys:
        problems.append(Problem("gateway.write_keys", "is required: senders need a key"))
    connections: list[Connection] = []
    for index, candidate in _candidates(content):
        try:
            connections.append(connect(candidate))
        except (SettingsError, PluginError) as error:
            problems += connection_problems(index, error)
    names = _names(content.get("connections"))
    told_once = dict.fromkeys(told(problem, names) for problem in problems)
    return Checked(list(told_once), config, connections)


async def probe(
    connection: Connection, delivery: DeliveryConfig, *, live: bool
) -> list[ProbeResult]:
    """Send a test user and a test event, and tell what came of it.

    Args:
        connection: where to.
        delivery: whose origins hold, if it goes live.
        live: to the vendor, and not to the plugin's simulator within this process.
    """
    transport: httpx.AsyncBaseTransport | None = None
    if not live:
        if "simulator" not in connection.plugin.capabilities:
            return [ProbeResult(connection.name, "", "not asked", "the plugin has no simulator")]
        app = connection.plugin.hook.simulator(settings=connection.settings)
        transport = httpx.ASGITransport(app)
    settings = msgspec.structs.replace(delivery_settings(delivery), max_attempts=1)
    async with Sender(connection, settings, transport=transport) as sender:
        return [
            await _probe(connection.decide(msgspec.json.encode(message)), call, connection, sender)
            for call, message in _MESSAGES.items()
        ]


async def _probe(
    decision: Decision, call: str, connection: Connection, sender: Sender
) -> ProbeResult:
    if decision.reject is not None:
        return ProbeResult(connection.name, call, decision.reject.code, decision.reject.detail)
    if decision.reason is not None:
        return ProbeResult(connection.name, call, "filtered", decision.reason)
    for request in decision.requests:
        for outcome in (await sender.attempt(request)).outcomes.values():
            if outcome.result != "delivered":
                code = outcome.code or outcome.result
                return ProbeResult(connection.name, call, code, outcome.detail)
    return ProbeResult(connection.name, call, "delivered")


def _candidates(content: dict[str, Json]) -> Iterator[tuple[int, ConnectionConfig]]:
    """List the connections that are well-formed enough to be tried, a missing name or not."""
    connections = content.get("connections")
    for index, raw in enumerate(connections if isinstance(connections, list) else []):
        named = {"name": f"number {index + 1}", **raw} if isinstance(raw, dict) else raw
        try:
            yield index, connection_config(content, named)
        except msgspec.ValidationError:
            continue


def _names(connections: Json) -> list[str]:
    listed = connections if isinstance(connections, list) else []
    names = [raw.get("name") if isinstance(raw, dict) else "" for raw in listed]
    return [name if isinstance(name, str) else "" for name in names]
