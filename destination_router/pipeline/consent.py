"""Decides by the consent in a message whether it may reach a destination. Pure.

It reads two forms. RudderStack's SDKs write `context.consentManagement`, which follows the rules of
rudder-server (`processor/consent.go`: only denials count, by provider). Segment's SDKs write
`context.consent.categoryPreferences`, where a category that is false is denied and no provider is
named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from destination_router.config.router_toml import ConsentConfig
from destination_router.contract.messages import Message
from destination_router.contract.records import Reject

_OWN_STRATEGY = "custom"
"""The provider whose messages leave the strategy to the destination."""


class Said(msgspec.Struct, frozen=True):
    """What a message says about consent.

    Attributes:
        denied: the ids that the person denies. An empty one does not count.
        provider: the provider of the ids; None for Segment's, which name none.
        strategy: how several ids of a destination count; empty if the message leaves it open.
    """

    denied: frozenset[str]
    provider: str | None = None
    strategy: str = ""


class Consent:
    """The consent that a connection requires before it takes a message.

    Args:
        rules: the rules as configured.
    """

    def __init__(self, rules: Sequence[ConsentConfig]) -> None:
        self._rules = tuple(rules)
        self._filters_absent = any(rule.when_absent == "filter" for rule in rules)

    def refusal(self, message: Message) -> str | None:
        """Say why consent keeps a message from the connection; None if it does not."""
        try:
            context = message.context
        except Reject:  # a context that cannot be decoded says nothing
            context = {}
        said = consent_said(context)
        if said is None:
            return "consent: the message says nothing of it" if self._filters_absent else None
        if not said.denied:
            return None
        for rule in self._rules_for(said):
            if _is_denied(rule, said):
                about = f"{rule.provider}: " if said.provider is not None else ""
                return f"consent: {about}not given for {', '.join(rule.categories)}"
        return None

    def given(self) -> dict[str, Any]:
        """Make a context that allows the connection everything; empty if it requires nothing.

        This is for test messages, which stand for a person who has said yes.
        """
        if not self._filters_absent:
            return {}
        categories = [each for rule in self._rules for each in rule.categories]
        management = {"provider": self._rules[0].provider, "allowedConsentIds": categories}
        return {"consentManagement": {**management, "deniedConsentIds": []}}

    def _rules_for(self, said: Said) -> list[ConsentConfig]:
        """Choose the rules for a message's provider; for Segment's messages, all rules.

        A destination's older settings (`legacy`) count if no newer rule is for the provider, or if
        a message names no provider. The first of them decides.
        """
        if said.provider is None:
            return list(self._rules)
        newer = [r for r in self._rules if not r.legacy and r.provider == said.provider]
        older = [r for r in self._rules if r.legacy and said.provider in ("", r.provider)]
        return newer or older[:1]


def _is_denied(rule: ConsentConfig, said: Said) -> bool:
    wanted = frozenset(rule.categories)
    own = rule.legacy or said.provider in (None, _OWN_STRATEGY)
    strategy = rule.resolution if own else said.strategy
    return wanted <= said.denied if strategy == "or" else bool(wanted & said.denied)


def consent_said(context: Any) -> Said | None:
    """Read what a message's context says about consent; None if it says nothing."""
    if not isinstance(context, dict):
        return None
    management = context.get("consentManagement")
    if isinstance(management, dict):
        return _of_rudderstack(management)
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if isinstance(preferences, dict):
        return Said(frozenset(name for name, given in preferences.items() if given is False))
    return None


def _of_rudderstack(management: dict[str, Any]) -> Said:
    """Read RudderStack's form. If it is malformed, rudder-server ignores all of it."""
    denied = management.get("deniedConsentIds") or []
    provider = management.get("provider") or ""
    strategy = management.get("resolutionStrategy") or ""
    fits = (
        isinstance(denied, list)
        and all(isinstance(each, str) for each in denied)
        and isinstance(provider, str)
        and isinstance(strategy, str)
    )
    if not fits:
        return Said(frozenset(), "")
    return Said(frozenset(filter(None, denied)), provider, strategy)
