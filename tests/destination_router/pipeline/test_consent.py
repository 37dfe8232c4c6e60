"""Consent: what a person does not allow is filtered, by rudder-server's rules and by Segment's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from destination_router.config.router_toml import ConnectionConfig
from destination_router.pipeline.connection import Connection, configured
from destination_router.plugins.loading import load_plugin


def connection(*rules: dict[str, Any], **more: Any) -> Connection:
    config = {
        "name": "heap",
        "plugin": "heap",
        "settings": {"appId": "11"},
        "consent": list(rules),
        **more,
    }
    return configured(msgspec.convert(config, ConnectionConfig), load_plugin("heap"))


def rule(provider: str, *categories: str, **more: Any) -> dict[str, Any]:
    return {"provider": provider, "categories": categories, **more}


def decide(heap: Connection, context: dict[str, Any]) -> str | None:
    message = {"type": "track", "userId": "u", "event": "E", "context": context}
    decision = heap.decide(msgspec.json.encode(message))
    return None if decision.result == "requests" else decision.reason


def denied(*ids: str, **more: Any) -> dict[str, Any]:
    return {"consentManagement": {"deniedConsentIds": list(ids), **more}}


NOT_GIVEN = "consent: oneTrust: not given for A, B"


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        # Only what is denied counts.
        ({}, None),
        ({"consentManagement": {"provider": "oneTrust", "allowedConsentIds": ["C"]}}, None),
        (denied(provider="oneTrust"), None),
        (denied("", provider="oneTrust"), None),
        (denied("C", provider="oneTrust"), None),
        # Each must be allowed, unless the message says that one is enough.
        (denied("A", provider="oneTrust"), NOT_GIVEN),
        (denied("A", provider="oneTrust", resolutionStrategy="and"), NOT_GIVEN),
        (denied("A", provider="oneTrust", resolutionStrategy="or"), None),
        (denied("B", "A", provider="oneTrust", resolutionStrategy="or"), NOT_GIVEN),
        (denied("A", provider="oneTrust", resolutionStrategy="any"), NOT_GIVEN),
        # Another provider's ids mean nothing, and a message that names none has none of these.
        (denied("A", provider="ketch"), None),
        (denied("A"), None),
        # What is not as it should be is not heeded.
        ({"consentManagement": {"deniedConsentIds": "A", "provider": "oneTrust"}}, None),
        ({"consentManagement": ["A"]}, None),
        # Segment's form names no provider: every rule speaks of it, by its own resolution.
        (
            {"consent": {"categoryPreferences": {"A": False, "B": True}}},
            "consent: not given for A, B",
        ),
        ({"consent": {"categoryPreferences": {"A": True, "C": False}}}, None),
        ({"consent": {"categoryPreferences": {"A": "no"}}}, None),
    ],
)
def test_what_a_person_denies_is_filtered(context: dict[str, Any], reason: str | None) -> None:
    """With the reason, the provider and the ids of the configuration; never the message's."""
    assert decide(connection(rule("oneTrust", "A", "B")), context) == reason


def test_in_segments_form_the_configuration_says_how_several_categories_count() -> None:
    """Its messages say nothing of that."""
    either = connection(rule("oneTrust", "A", "B", resolution="or"))
    assert decide(either, {"consent": {"categoryPreferences": {"A": False, "B": True}}}) is None
    neither = {"consent": {"categoryPreferences": {"A": False, "B": False}}}
    assert decide(either, neither) == "consent: not given for A, B"


def test_the_provider_custom_leaves_the_strategy_to_the_destination() -> None:
    """Whatever the message says."""
    context = denied("A", provider="custom", resolutionStrategy="and")
    assert decide(connection(rule("custom", "A", "B", resolution="or")), context) is None
    assert decide(connection(rule("custom", "A", "B")), context) is not None


@pytest.mark.parametrize(
    ("context", "filtered"),
    [
        (denied("A"), True),
        (denied("A", provider="oneTrust"), True),
        (denied("A", provider="oneTrust", resolutionStrategy="or"), True),
        (denied("P"), False),
        (denied("P", "Q", provider="ketch"), True),
        (denied("P", provider="ketch", resolutionStrategy="and"), False),
        (denied("A", provider="custom"), False),
    ],
)
def test_older_settings_speak_of_messages_without_a_provider(
    context: dict[str, Any], *, filtered: bool
) -> None:
    """OneTrust's before ketch's, each by its own resolution."""
    older = (
        rule("oneTrust", "A", "B", legacy=True),
        rule("ketch", "P", "Q", resolution="or", legacy=True),
    )
    assert (decide(connection(*older), context) is not None) is filtered


def test_newer_settings_come_before_older_ones() -> None:
    """Where both speak of a provider."""
    both = (rule("oneTrust", "A", legacy=True), rule("oneTrust", "B"))
    assert decide(connection(*both), denied("A", provider="oneTrust")) is None
    assert decide(connection(*both), denied("B", provider="oneTrust")) is not None


def test_what_says_nothing_may_be_filtered() -> None:
    """Where the configuration says so; a message that denies nothing has said something."""
    careful = connection(rule("oneTrust", "A", when_absent="filter"))
    assert decide(careful, {}) == "consent: the message says nothing of it"
    assert decide(careful, denied(provider="oneTrust")) is None


def test_no_transformation_takes_a_refusal_away() -> None:
    """Consent is read as the sender wrote it, before anything is changed."""
    steps = [{"delete": ["context.consentManagement"]}]
    heap = connection(rule("oneTrust", "A"), transformations=steps)
    assert decide(heap, denied("A", provider="oneTrust")) is not None


def test_a_message_that_is_refused_is_shown_in_no_later_step() -> None:
    """The transformations never saw it."""
    heap = connection(rule("oneTrust", "A"), transformations=[{"delete": ["event"]}])
    message = {"type": "track", "userId": "u", "event": "E"}
    raw = msgspec.json.encode({**message, "context": denied("A", provider="oneTrust")})
    (end,) = heap.explained(raw)
    assert end.end == heap.decide(raw).reason
    assert heap.steps(raw) == []
