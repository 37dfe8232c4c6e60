"""Make a case of a message. What the destination makes of it now is the expectation.

Only a person knows the rule and where it is documented. Both are left as `TODO`, and the suite
refuses a case until they are filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from conformance.case import TODO, Case, CaseError, Expectation, Source
from conformance.subject import Observation, Subject
from destination_router.settings.validation import load_some_settings, secret_values

MADE_UP = "made-up"
"""A case holds this in place of a secret."""

_LONGEST_NAME = 40
_PLUGIN_ERROR = "plugin_error"
_KINDS = frozenset({"identify", "track", "page", "screen", "group", "alias"})


def recorded(
    subject: Subject,
    described: Mapping[str, Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    *,
    case_id: str,
    title: str = TODO,
) -> dict[str, Any]:
    """Make a case of messages, as it stands in a case file.

    Args:
        subject: the destination.
        described: the case's `settings`, as `shareable_settings` gives them, and its `connection`:
            what stands beside them in a router.toml, if anything does.
        messages: one, or several that are packed together. Each gets a `messageId` where it has
            none, since a case is compared literally.
        case_id: `track/order-completed`.
        title: the rule, as a sentence.

    Raises:
        SettingsError: the connection cannot be used.
        CaseError: no case can be made of what came of them.
    """
    sent = [{"messageId": _message_id(number), **each} for number, each in enumerate(messages)]
    given: dict[str, Any] = {"message": sent[0]} if len(sent) == 1 else {"messages": sent}
    observed = subject.observe(
        Case(
            id=case_id,
            title=title,
            status="stable",
            level="extended",
            source=Source(),
            expect=Expectation(),
            message=given.get("message"),
            messages=None if "messages" not in given else tuple(sent),
            settings=dict(described["settings"]),
            connection=dict(described.get("connection", {})),
        )
    )
    if observed.result == "reject" and observed.code == _PLUGIN_ERROR:
        raise CaseError(f"the destination fails, and that is no expectation: {observed.detail}")
    if not observed.requests and len(sent) > 1:
        raise CaseError("none of the messages becomes a request: record them one by one")
    return {
        "id": case_id,
        "title": title,
        "status": "stable",
        "level": "extended",
        "source": {"url": TODO, "summary": TODO, "retrieved": TODO},
        **described,
        **given,
        "expect": _expectation(observed),
    }


def shareable_settings(schema: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the secrets in settings, for a file that everybody may read.

    Args:
        schema: the destination's settings schema; what it marks `writeOnly` is a secret.
        settings: as configured.

    Returns:
        References resolved, and `made-up` in place of each secret.

    Raises:
        SettingsError: a reference cannot be resolved, or the schema refuses a setting.
    """
    resolved = load_some_settings(schema, settings)
    secrets = secret_values(schema, resolved)
    return {name: _made_up(value, secrets) for name, value in resolved.items()}


def suggested_id(message: Mapping[str, Any], topic: str, taken: Collection[str]) -> str:
    """Name a case for its message: `track/order-completed`, or with a number where that is taken.

    Args:
        message: what is recorded.
        topic: what the case's file is called; the message's type if empty.
        taken: the ids that the file holds already.
    """
    kind = message.get("type")
    name = next((message[key] for key in ("event", "name") if message.get(key)), kind)
    plain = _slug(str(name)) or "recorded"
    first = f"{topic or (kind if kind in _KINDS else 'recorded')}/{plain}"
    return next(
        each for each in (first, *(f"{first}-{n}" for n in range(2, len(taken) + 3)))
        if each not in taken
    )  # fmt: skip


def document(case: Mapping[str, Any]) -> str:
    """Write a case as a case file of its own."""
    return json.dumps({"cases": [case]}, indent=2, ensure_ascii=False) + "\n"


def with_case(text: str, case: Mapping[str, Any]) -> str:
    """Append a case to the text of a case file. Nothing else in it changes.

    Raises:
        ValueError: the text does not end with the list of its cases.
    """
    end, cases = re.search(r"\s*\]\s*\}\s*\Z", text), json.loads(text).get("cases")
    if end is None or not isinstance(cases, list):
        raise ValueError("its list of cases must stand at its end")
    added = json.dumps(case, indent=2, ensure_ascii=False).replace("\n", "\n    ")
    comma = "," if cases else ""
    together = f"{text[: end.start()]}{comma}\n    {added}\n  ]\n}}\n"
    if json.loads(together)["cases"][-1] != case:
        raise ValueError("its list of cases must stand at its end")
    return together


def _message_id(number: int) -> str:
    return f"m-{number + 1:08}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()[:_LONGEST_NAME]).strip("-")


def _made_up(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {name: _made_up(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_made_up(item, secrets) for item in value]
    return MADE_UP if isinstance(value, str) and value in secrets else value


def _expectation(observed: Observation) -> dict[str, Any]:
    notes = {"notes": sorted(observed.notes or ())}
    match observed.result:
        case "requests":
            return {"requests": [_request(each) for each in observed.requests], **notes}
        case "reject":
            return {"reject": {"code": observed.code}, **notes}
        case _:
            return {"ignored": True, **notes}


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out fields that a case need not mention: defaults, and empty ones."""
    usual = {"method": "POST", "params": {}, "headers": {}, "pairings": []}
    return {
        name: value for name, value in request.items() if name not in usual or value != usual[name]
    }
