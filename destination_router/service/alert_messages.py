"""Writes alerts for a receiver: as JSON, or in the form of Slack's incoming webhooks. Pure.

They hold only names, codes and counts: nothing from a message, and no words of a vendor.
Slack's form: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from destination_router.contract.times import format_time
from destination_router.service.alert_rules import MEANINGS, Alert


class Origin(msgspec.Struct, frozen=True):
    """The process that sends an alert.

    Attributes:
        host: the machine's name.
        process: the command that was started: `run`, `run --workers-only`.
    """

    host: str
    process: str


def written(
    alerts: Sequence[Alert],
    origin: Origin,
    form: Literal["json", "slack"],
    wall_time: Callable[[float], float],
    now: float,
) -> bytes:
    """Write alerts as the body of one request, which is JSON in either form.

    Args:
        alerts: the alerts.
        origin: the process that sends them.
        form: the format.
        wall_time: turns a time of the alerts' clock into Unix time in seconds.
        now: on the alerts' clock.
    """
    at = _time(wall_time(now))
    if form == "slack":
        lines = [_line(alert, origin, _time(wall_time(alert.since))) for alert in alerts]
        return msgspec.json.encode({"text": "\n".join(lines)})
    told = [_object(alert, _time(wall_time(alert.since)), at) for alert in alerts]
    return msgspec.json.encode({"host": origin.host, "process": origin.process, "alerts": told})


def _object(alert: Alert, since: str, at: str) -> dict[str, object]:
    meaning = MEANINGS[alert.kind]
    return {
        "alert": alert.kind,
        "state": "begins" if alert.begins else "ends",
        "connection": alert.connection or None,
        "codes": alert.codes,
        "count": alert.count,
        "since": since,
        "at": at,
        "summary": meaning.summary,
        "command": meaning.command,
    }


def _line(alert: Alert, origin: Origin, since: str) -> str:
    about = [alert.connection, *alert.codes]
    if alert.count is not None:
        about.append(f"{alert.count} within the period")
    told = ", ".join(filter(None, about))
    head = f"{alert.kind}{': ' if told else ''}{told} ({origin.host}, since {since})"
    if not alert.begins:
        return _plain(f"ENDS {head}")
    meaning = MEANINGS[alert.kind]
    return f"{_plain(f'BEGINS {head}. {meaning.summary}')} `{_plain(meaning.command)}`"


def _plain(text: str) -> str:
    """Escape a name, so that Slack does not read it as a mention, a link or a line."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
