"""Settings: everything that the schema allows works, and not only the defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from conformance.checks.check import Bed, Check
from conformance.checks.generated import generated_messages
from conformance.checks.traffic import PLAIN, Sent
from conformance.checks.variants import offered, variants, with_setting
from conformance.checks.windows import mixed_window
from conformance.compare import Difference, shown
from conformance.subject import request_json, wire
from destination_router import HttpRequest
from destination_router.contract.bodies import body_of
from destination_router.pipeline.connection import Connection
from destination_router.settings.errors import SettingsError

_SOME = 60
_MARKER = "planted-secret-7f3a"


def _work(bed: Bed) -> Iterator[Difference]:
    """Run ordinary and generated messages with each set of settings."""
    for label, connection in variants(bed):
        for message in (*PLAIN, *generated_messages(_SOME)):
            sent = Sent(
                path=f"{label}, {message['messageId']}" if "messageId" in message else label,
                connection=connection,
                raw=wire(message),
            )
            yield from _breaches(sent)
        yield from _packed(label, connection)
    yield from _refused(bed)


def _refused(bed: Bed) -> Iterator[Difference]:
    """Find values of an `enum` that `configure` refuses with any other settings."""
    values = [(path, value, chosen) for path, value, chosen in _choices(bed) if chosen]
    for path, value, _ in values:
        beside = [
            bed.settings,
            *(with_setting(bed.settings, p, v) for p, v, _ in values if p != path),
        ]
        reasons = [_refusal(bed, with_setting(settings, path, value)) for settings in beside]
        if all(reasons):
            where = f"settings.{'.'.join(path)}"
            yield Difference(where, f"{shown(value)} refused: {reasons[0]}", "a value that works")


def _choices(bed: Bed) -> Iterator[tuple[tuple[str, ...], object, bool]]:
    for path, value in offered(bed):
        field = bed.subject.plugin.hook.settings_schema()
        for name in path:
            field = field.get("properties", {}).get(name, {})
        yield path, value, value in field.get("enum", ())


def _refusal(bed: Bed, settings: dict[str, object]) -> str:
    try:
        bed.subject.connection(settings)
    except SettingsError as error:
        return str(error)
    return ""


def _breaches(sent: Sent) -> Iterator[Difference]:
    decision = sent.decide()
    if decision.reject is not None and decision.reject.code == "plugin_error":
        yield Difference(sent.path, decision.reject.detail, "requests, a Reject, or nothing")
    again = sent.decide()
    if list(map(request_json, again.requests)) != list(map(request_json, decision.requests)):
        yield Difference(sent.path, "other requests the second time", "the same requests")
    for request in decision.requests:
        yield from _request_breaches(sent.path, request)


def _request_breaches(path: str, request: HttpRequest) -> Iterator[Difference]:
    parts = urlsplit(request.url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        yield Difference(f"{path}, url", request.url, "an absolute https URL without a query")
    if body_of(request) is None and request.method == "POST":
        yield Difference(f"{path}, body", "none", "a body")
    try:
        json.dumps(request.json, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield Difference(f"{path}, json", f"{type(error).__name__}: {error}", "JSON")


def _packed(label: str, connection: Connection) -> Iterator[Difference]:
    if "pack" not in connection.plugin.capabilities:
        return
    singles = [r for message in mixed_window() for r in connection.decide(wire(message)).requests]
    before = {i for request in singles for i in request.message_ids}
    packed = connection.pack(list(singles))
    after = {i for request in packed for i in request.message_ids}
    if before != after:
        got = f"{len(before ^ after)} message ids lost or made up by pack"
        yield Difference(label, got, "every message id kept")
    for request in packed:
        yield from _request_breaches(f"{label}, packed", request)


def _secrets(bed: Bed) -> Iterator[Difference]:
    """Plant a secret beside each invalid setting, and look for it in the refusal."""
    schema = bed.subject.plugin.hook.settings_schema()
    secrets = {
        name: _MARKER
        for name, field in schema.get("properties", {}).items()
        if isinstance(field, dict) and field.get("writeOnly") and field.get("type") == "string"
    }
    trials = [{**bed.settings, **secrets}]
    trials += [{**bed.settings, **secrets, path[0]: value} for path, value in offered(bed)]
    for settings in trials:
        kept = {**settings, **secrets}
        # A host hides a secret in what it repeats; the plugin is asked itself, as others may.
        for words in (_refusal(bed, kept), _raised(bed, kept)):
            if _MARKER in words:
                got = "a refusal that quotes a writeOnly setting"
                yield Difference("settings", got, "words without a secret")


def _raised(bed: Bed, settings: dict[str, object]) -> str:
    if "configure" not in bed.subject.plugin.capabilities:
        return ""
    try:
        bed.subject.plugin.hook.configure(settings=settings)
    except Exception as error:  # noqa: BLE001 -- its words are looked at
        return str(error)
    return ""


CHECKS = (
    Check(
        id="check/settings-all-work",
        title="Every value that the schema offers works: no error, https, the same every time",
        run=_work,
    ),
    Check(
        id="check/settings-no-secret-told",
        title="Settings that are refused are refused without telling a secret",
        run=_secrets,
    ),
)
