"""Words: what a destination says about a message says what to do, and holds no personal value.

Notes, rejections and errors are logged, shown on a console and kept with dead letters. The check
plants markers in messages, to find where a value comes out again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import Sent, generated_traffic, hostile_traffic
from conformance.checks.unusual import unusual_messages
from conformance.checks.variants import variants
from conformance.compare import Difference, shown
from conformance.subject import wire
from destination_router import Ignored, Reject
from destination_router.pipeline.normalise import normalise

_MARKER = "planted7f3a"
_NUMBER = 7193719371937
_TIME = "1901-02-03T04:05:06"
_NOW = "2026-11-22T10:00:00.000Z"
_KINDS = ("identify", "track", "page", "screen", "group", "alias")
_WORD = re.compile(r"[^\W\d_]+")
_WORDS = 3
_EVERY = 5
_SOME = 11  # with other settings than the bench's: every member comes by, not every value


def _values() -> Iterator[tuple[str, Any]]:
    """Make values that a destination changes, cuts, refuses or cannot read."""
    yield "text", _MARKER
    yield "long text", _MARKER + "x" * 6000
    yield "blanks around", f" {_MARKER} "
    yield "number", _NUMBER
    yield "list", [_MARKER, None, {"a": _MARKER}]
    yield "object", {"a": {"b": _MARKER}, "id": _MARKER, "email": _MARKER}
    yield "control characters", f"{_MARKER}\x00\n"
    yield "reserved", f"${_MARKER}"


def _planted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Make messages of every kind, with a marker in one field or in all fields at once."""
    fields = ("userId", "anonymousId", "groupId", "previousId", "timestamp", "event", "name")
    for kind in _KINDS:
        plain = {
            "type": kind,
            "messageId": "personal-1",
            "userId": "user-1",
            "anonymousId": "anonymous-1",
            "event": "E",
            "groupId": "group-1",
            "previousId": "user-0",
        }
        for told, value in _values():
            for field in fields:
                yield f"{kind}, {field} of {told}", {**plain, field: value}
            ids = dict.fromkeys(("userId", "anonymousId", "groupId", "previousId"), value)
            yield f"{kind}, ids of {told}", {**plain, **ids}
            for absent in ids:
                yield f"{kind}, ids of {told}, no {absent}", {**plain, **ids, absent: None}
            bag = {"a": value, "id": value, "email": value, "createdAt": value, "price": value}
            more = {"revenue": value, "products": [{"price": value}], "$set": value, "time": value}
            everywhere = {"properties": {**bag, **more}, "traits": bag, "category": value}
            context = {"context": {"traits": bag, "ip": value, "page": {"url": value}}}
            yield f"{kind}, values of {told}", {**plain, **everywhere, **context}
        for time in (f"{_TIME}Z", f"{_TIME}.789+02:00"):
            times = {"timestamp": time, "originalTimestamp": time, "receivedAt": time}
            yield f"{kind}, times long ago", {**plain, **times}
            sent = {"originalTimestamp": _NOW, "receivedAt": _NOW, "timestamp": time}
            yield f"{kind}, a time long ago", {**plain, **sent}


def _no_values(bed: Bed) -> Iterator[Difference]:
    for label, connection in variants(bed):
        for path, message in _planted():
            sent = Sent(path=f"{label}, {path}", connection=connection, raw=wire(message))
            yield from _leaks(sent)


def _leaks(sent: Sent) -> Iterator[Difference]:
    decision = sent.decide()
    told = [(f"note {note.code}", note.detail) for note in decision.notes]
    if decision.reject is not None:
        told.append((f"reject {decision.reject.code}", decision.reject.detail))
    if decision.result == "filtered":
        told.append(("reason", decision.reason or ""))
    told.append(("exception", _raised(sent)))
    for place, words in told:
        if any(planted in words for planted in (_MARKER, str(_NUMBER), _TIME)):
            got = f"{place} that quotes a value of the message"
            yield Difference(sent.path, got, "the field, its type and what to do")


def _raised(sent: Sent) -> str:
    """Get the text of an exception that the hook raises. This host hides it; others may not."""
    try:
        _answer(sent)
    except Exception as error:  # noqa: BLE001 -- its words are looked at
        return str(error)
    return ""


def _answer(sent: Sent) -> Any:
    """Get what the hook returns; None if no hook is asked."""
    try:
        message = normalise(sent.raw, message_id="personal-1").message
    except Reject:
        return None
    name = f"on_{type(message).__name__.lower()}"
    hook = getattr(sent.connection.plugin.hook, name, None)
    if hook is None or name not in sent.connection.plugin.capabilities:
        return None
    return hook(message=message, settings=sent.connection.settings)


def _reasons(bed: Bed) -> Iterator[Difference]:
    """Check the reasons of all rejections and ignored messages among odd messages."""
    yield from _ignored(bed)
    connection = bed.subject.connection(bed.settings)
    odd = [
        Sent(path=path, connection=connection, raw=wire(message))
        for path, message in (*_planted(), *list(unusual_messages())[::_EVERY])
    ]
    seen: set[str] = set()
    for sent in (*hostile_traffic(bed), *generated_traffic(bed), *odd):
        reject = sent.decide().reject
        if (
            not _readable(sent)
            or reject is None
            or reject.code == "plugin_error"
            or reject.detail in seen
        ):
            continue
        seen.add(reject.detail)
        path, told = _parted(reject.detail)
        if len(_WORD.findall(told)) < _WORDS or _same_words(reject.code, told):
            got = f"Reject({reject.code!r}, {shown(told)})"
            yield Difference(sent.path, got, "a sentence: what is wrong, and what to send instead")
        if not path:
            got = f"Reject({reject.code!r}, …) without a path"
            yield Difference(sent.path, got, "the field at fault, as the third argument")


def _ignored(bed: Bed) -> Iterator[Difference]:
    """Check the reasons of ignored messages with every set of settings."""
    for label, connection in variants(bed):
        for path, message in _bare():
            sent = Sent(path=f"{label}, {path}", connection=connection, raw=wire(message))
            if sent.decide().result != "filtered":
                continue
            try:
                answer = _answer(sent)
            except Reject:
                continue  # it is the subscription that filters it
            if answer == []:
                yield Difference(sent.path, "[]", "Ignored(reason): a sentence that says why")
            elif isinstance(answer, Ignored) and len(_WORD.findall(answer.reason)) < _WORDS:
                got = f"Ignored({shown(answer.reason)})"
                yield Difference(sent.path, got, "a sentence that says why")


def _bare() -> Iterator[tuple[str, dict[str, Any]]]:
    """Make nearly empty messages: from a known user, from an unknown one, and with both ids."""
    ids = {"userId": "user-1", "anonymousId": "anonymous-1"}
    for kind in _KINDS:
        own = {"event": "E", "groupId": "group-1", "previousId": "user-0"}
        for absent in ("", *ids):
            message = {"type": kind, "messageId": "bare-1", **ids, **own, absent: None}
            yield f"bare {kind} without {absent or 'properties'}", message


def _readable(sent: Sent) -> bool:
    """Tell whether a message reaches the destination. If not, the host explains why."""
    try:
        normalise(sent.raw, message_id="personal-1")
    except Reject:
        return False
    return True


def _parted(detail: str) -> tuple[str, str]:
    """Split the leading path of the field from the sentence."""
    path, colon, told = detail.partition(": ")
    return (path, told) if colon and " " not in path else ("", detail)


def _same_words(code: str, told: str) -> bool:
    words = set(re.findall(r"[a-z]+", told.lower()))
    return words <= {*code.split("_"), "error", "invalid", "bad", "message", "request", "the", "a"}


def _unusual(bed: Bed) -> Iterator[Difference]:
    """Run unusual messages with every set of settings: some make a destination read more."""
    messages = [(path, wire(message)) for path, message in unusual_messages()]
    for label, connection in variants(bed):
        for path, raw in messages if label == "settings" else messages[::_SOME]:
            reject = connection.decide(raw).reject
            if reject is not None and reject.code == "plugin_error":
                wanted = "requests, a Reject, or nothing"
                yield Difference(f"{label}, {path}", reject.detail, wanted)


CHECKS = (
    Check(
        id="check/robustness-context",
        title="A member of the context, a property or a trait may be of any type",
        run=_unusual,
    ),
    Check(
        id="check/words-no-personal-value",
        title="No note, rejection or exception quotes a value of the message",
        run=_no_values,
    ),
    Check(
        id="check/words-to-act-on",
        title="A rejection names the field, and it and what is ignored say why in a sentence",
        run=_reasons,
    ),
)
