"""Checks a router.toml: reports every error at once, and tests its connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from destination_router.config.origins import is_loopback
from destination_router.config.problems import ConfigError, config_error, connection_names
from destination_router.config.router_toml import (
    ConnectionConfig,
    DeliveryConfig,
    EventLogConfig,
    RouterConfig,
    connection_config,
    parse_config,
    read_config,
    without_alerts,
)
from destination_router.config.schema import SQLITE_URL
from destination_router.contract.records import Json, Outcome
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection, Decision, Refusal
from destination_router.plugins.loading import PluginError
from destination_router.service.connections import connect, every_problem
from destination_router.service.elsewhere import live_beside, look_over
from destination_router.service.workers import delivery_settings
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.redaction import SEARCHED_CHARACTERS

_USER = "destination-router-check"
_TRAITS: Json = {"checked": "yes"}
_EVENT = "Router Checked"


class Checked(msgspec.Struct, frozen=True):
    """The result of a check.

    Attributes:
        problems: each with its file, table and key; empty if all is well.
        config: the router.toml; None if it is invalid.
        connections: its valid connections, ready to use.
        warnings: what may be wrong.
    """

    problems: list[str]
    config: RouterConfig | None
    connections: list[Connection]
    warnings: list[str] = []


class ProbeResult(msgspec.Struct, frozen=True):
    """The result of one test message and its reason: for example `delivered`, or `not asked`."""

    connection: str
    call: str
    result: str
    detail: str = ""


def check_config(
    path: Path, *, gateway: bool = True, console: bool = True, alerts: bool = True
) -> Checked:
    """Read a router.toml and make its connections ready, and report every error.

    Args:
        path: the file.
        gateway: whether events come in, which needs a write key.
        console: whether to read the console's passwords.
        alerts: whether to read `[alerts]`. A process that sends none needs no address.
    """
    try:
        content = read_config(path) if alerts else without_alerts(read_config(path))
    except ConfigError as error:
        return Checked([str(problem) for problem in error.problems], None, [])
    config: RouterConfig | None = None
    problems: list[Problem] = []
    try:
        config = parse_config(content, gateway=gateway, console=console)
    except SettingsError as error:
        problems += error.problems
    if gateway and not _in_table(content, "gateway", "write_keys") and not content.get("sources"):
        detail = "is required: senders need a key, here or in [[sources]]"
        problems.append(Problem("gateway.write_keys", detail))
    url = _in_table(content, "eventlog", "url")
    is_file = not isinstance(url, str) or url.startswith(SQLITE_URL)  # else the schema tells
    log = EventLogConfig(url=url).path if isinstance(url, str) else Path("router.db")
    if not is_file:
        pass
    elif log.is_dir():
        problems.append(Problem("eventlog.url", f"{log} is a folder: name a file in it"))
    elif not log.parent.is_dir():
        problems.append(Problem("eventlog.url", f"there is no folder {log.parent}: make it"))
    connections: list[Connection] = []
    for index, candidate in _candidates(content):
        try:
            connections.append(connect(candidate))
        except (SettingsError, PluginError) as error:
            problems += every_problem(index, candidate, error)
    warnings: list[str] = []
    problems += _alert_problems(config)
    if config is not None and not problems:
        warnings += _alert_warnings(content.get("alerts"))
        found = look_over(config.delivery.origins, connections)
        where = "delivery.origins"
        problems += [Problem(where, words) for words in found.problems.values()]
        warnings += [f"{where}: {source}: {words}" for source, words in found.warnings.items()]
        live = live_beside(config.delivery.origins, connections)
        warnings += [f"{name}: {words}" for name, words in live.items()]
    warnings += [
        f"{connection.name}: a secret has fewer than {SEARCHED_CHARACTERS} characters, and is "
        "hidden only where a name such as token or apiKey says what it is: use a longer one"
        for connection in connections
        if any(len(secret) < SEARCHED_CHARACTERS for secret in connection.secrets)
    ]
    warnings += [f"{each.name}: {words}" for each in connections for words in each.cautions]
    told = config_error(problems, connection_names(content), path).problems
    return Checked([str(problem) for problem in told], config, connections, warnings)


async def probe(
    connection: Connection, delivery: DeliveryConfig, *, live: bool
) -> list[ProbeResult]:
    """Send a test user and a test event, and return the results.

    They carry the consent that the connection asks for.

    Args:
        connection: the connection to test.
        delivery: settings with origins, for a live test.
        live: whether to send to the vendor, and not to the plugin's simulator in this process.
    """
    transport: httpx.AsyncBaseTransport | None = None
    if not live:
        if "simulator" not in connection.plugin.capabilities:
            return [ProbeResult(connection.name, "", "not asked", "the plugin has no simulator")]
        app = connection.plugin.hook.simulator(settings=connection.settings)
        transport = httpx.ASGITransport(app)
    settings = msgspec.structs.replace(delivery_settings(delivery), max_attempts=1)
    async with Sender(connection, settings, transport=transport) as sender:
        identify = connection.decide(_message(connection, type="identify", traits=_TRAITS))
        event, track = _event_for(connection, live=live)
        told = await _probe(track, "track", connection, sender)
        if told.result == "delivered" and event != _EVENT:
            told = msgspec.structs.replace(told, detail=f"as the event {event}")
        results = [await _probe(identify, "identify", connection, sender), told]
    if all(result.result == "filtered" for result in results):
        detail = "no test message passes, so nothing was sent: whether the vendor takes any is open"
        results.append(ProbeResult(connection.name, "", "not asked", detail))
    return results


def _event_for(connection: Connection, *, live: bool) -> tuple[str, Decision]:
    """Choose a test event that goes out. In HIPAA mode, that is one on the allowlists.

    A live test does not use an event of the allowlists, which would count as a real one.
    """
    privacy = connection.treatment.privacy
    allowed = [] if privacy is None or live else sorted(privacy.allowed.events)
    names = (*allowed, _EVENT)
    tried = [
        (name, connection.decide(_message(connection, type="track", event=name))) for name in names
    ]
    return next((one for one in tried if one[1].result == "requests"), tried[-1])


def _message(connection: Connection, **fields: Json) -> bytes:
    """Make a test message, with the consent that the connection asks for."""
    consent = connection.treatment.consent
    if consent is not None and (context := consent.given()):
        fields["context"] = context
    return msgspec.json.encode({"userId": _USER, **fields})


async def _probe(
    decision: Decision, call: str, connection: Connection, sender: Sender
) -> ProbeResult:
    if decision.reject is not None:
        return ProbeResult(connection.name, call, "rejected", _why(decision.reject))
    if decision.reason is not None:
        return ProbeResult(connection.name, call, "filtered", decision.reason)
    for request in decision.requests:
        for outcome in (await sender.attempt(request)).outcomes.values():
            if outcome.result != "delivered":
                result = "left" if outcome.result == "retry" else outcome.result
                return ProbeResult(connection.name, call, result, _why(outcome))
    return ProbeResult(connection.name, call, "delivered")


def _why(told: Refusal | Outcome) -> str:
    return ": ".join(part for part in (told.code, told.detail) if part)


def _alert_problems(config: RouterConfig | None) -> list[Problem]:
    """Report an address to which nothing can be posted."""
    if config is None or config.alerts is None:
        return []
    url = config.alerts.url
    try:
        usable = bool(httpx.URL(url).host) and urlsplit(url).port != 0
    except (httpx.InvalidURL, ValueError):
        usable = False
    return [] if usable else [Problem("alerts.url", "is no URL that can be posted to")]


def _alert_warnings(alerts: Json) -> list[str]:
    """Warn of an address in clear: whoever reads the file could post alerts there."""
    url = alerts.get("url") if isinstance(alerts, dict) else None
    if not isinstance(url, str) or is_loopback(url):
        return []
    detail = "is a secret, and stands in the file"
    return [f'alerts.url: {detail}: write {{ env = "ALERT_URL" }} or {{ file = "PATH" }}']


def _in_table(content: dict[str, Json], table: str, key: str) -> Json:
    found = content.get(table)
    return found.get(key) if isinstance(found, dict) else None


def _candidates(content: dict[str, Json]) -> Iterator[tuple[int, ConnectionConfig]]:
    """Yield the connections that are well-formed enough to try, whatever their name is."""
    connections = content.get("connections")
    for index, raw in enumerate(connections if isinstance(connections, list) else []):
        named = raw
        if isinstance(raw, dict) and not isinstance(raw.get("name"), str):
            named = {**raw, "name": f"connections.{index}"}
        try:
            yield index, connection_config(content, named)
        except msgspec.ValidationError:
            continue
