"""What a receiver reads: JSON for a program, a text for Slack."""

import json

from destination_router.service.alert_messages import Origin, written
from destination_router.service.alert_rules import Alert

ORIGIN = Origin("router-1", "run --workers-only")
HELD = Alert(kind="connection_held", connection="US", begins=True, since=100.0, codes=("http_401",))
LETTERS = Alert(
    kind="dead_letters", connection="US", begins=False, since=40.0, codes=("a", "b"), count=312
)
LOG = Alert(kind="log_not_writable", connection="", begins=True, since=100.0)


def wall(at: float) -> float:
    return 1_764_385_200 + at


def test_json_says_what_began_where_since_when_and_what_to_type() -> None:
    """Several alerts are one request."""
    told = json.loads(written([HELD, LETTERS, LOG], ORIGIN, "json", wall, 160.0))
    assert (told["host"], told["process"]) == ("router-1", "run --workers-only")
    held, letters, log = told["alerts"]
    assert held == {
        "alert": "connection_held",
        "state": "begins",
        "connection": "US",
        "codes": ["http_401"],
        "count": None,
        "since": "2025-11-29T03:01:40.000Z",
        "at": "2025-11-29T03:02:40.000Z",
        "summary": "The vendor or the plugin's program takes nothing. Messages wait in the log.",
        "command": "destination-router check --live",
    }
    assert (letters["state"], letters["codes"], letters["count"]) == ("ends", ["a", "b"], 312)
    assert log["connection"] is None


def test_slack_gets_a_line_for_each() -> None:
    """One that ends needs no command."""
    told = json.loads(written([HELD, LETTERS, LOG], ORIGIN, "slack", wall, 160.0))
    assert list(told) == ["text"]
    held, letters, log = told["text"].splitlines()
    assert held == (
        "BEGINS connection_held: US, http_401 (router-1, since 2025-11-29T03:01:40.000Z). "
        "The vendor or the plugin's program takes nothing. Messages wait in the log. "
        "`destination-router check --live`"
    )
    assert letters == (
        "ENDS dead_letters: US, a, b, 312 within the period "
        "(router-1, since 2025-11-29T03:00:40.000Z)"
    )
    assert log.startswith("BEGINS log_not_writable (router-1, since ")


def test_no_name_is_a_mention_or_a_link_in_slack() -> None:
    """Nor does a line end in one."""
    named = Alert(kind="poisoned", connection="<!channel> & co\nx", begins=True, since=0.0)
    text = json.loads(written([named], ORIGIN, "slack", wall, 0.0))["text"]
    assert "&lt;!channel&gt; &amp; co x" in text
