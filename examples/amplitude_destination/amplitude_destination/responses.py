"""Amplitude's answers → an outcome for each message that a request carried.

A 400 with the words `Invalid API key` is about the connection and holds it: no message is at fault.
Any other 400, or a 429, keeps nothing of the request, and names the events that were at fault or
too many, by their indexes or by the ids of their users and devices. The others go out again at
once. What answers hold, and what to do about it: https://amplitude.com/docs/apis/analytics, pages
http-v2, batch-event-upload and http-api-batching-retries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from amplitude_destination.settings import AmplitudeSettings
from destination_router import HttpRequest, HttpResponse, Json, Outcome, default_outcome

_BAD_REQUEST = 400
_TOO_MANY_REQUESTS = 429
_WRONG_EVENTS = (
    "events_with_invalid_fields",
    "events_with_missing_fields",
    "events_with_invalid_id_lengths",
)
_WRONG_KEY = "Invalid API key"
_WORDS = 500

Events = Sequence[Mapping[str, Json]]


def read_response(
    request: HttpRequest, response: HttpResponse, settings: AmplitudeSettings
) -> Outcome | dict[str, Outcome]:
    """Read an answer as most vendors mean it, but for a wrong key and a 400 or 429 to events."""
    answer = response.json()
    if response.status == _BAD_REQUEST and _blames_the_key(answer, response.text):
        return Outcome.held("invalid_api_key", _WRONG_KEY)
    events = request.json.get("events") if isinstance(request.json, dict) else None
    refused = response.status in (_BAD_REQUEST, _TOO_MANY_REQUESTS)
    if not refused or not events or not isinstance(answer, dict):
        return default_outcome(response)
    verdicts = _verdicts(answer, events, settings.api.pause)
    if not verdicts and response.status == _TOO_MANY_REQUESTS:
        return Outcome.retry(settings.api.pause, code="throttled", detail=_words(answer))
    if not verdicts:  # no event is at fault, so the bulk is not to be taken apart
        words = _words(answer, str(answer.get("missing_field") or ""))
        return dict.fromkeys(request.message_ids, Outcome.rejected("refused_request", words))
    outcomes = dict.fromkeys(request.message_ids, Outcome.retry(after=0, code="neighbour_refused"))
    items = request.items or (request.message_ids,)
    # A message may be in several events: the worst counts, so rejections come last.
    for index in sorted(verdicts, key=lambda index: verdicts[index].result == "rejected"):
        outcomes |= dict.fromkeys(items[index], verdicts[index])
    return outcomes


def _blames_the_key(answer: Json, text: str) -> bool:
    """Whether the key is refused, which Amplitude says with a 400: in JSON, or to forms in text."""
    error = answer.get("error") if isinstance(answer, dict) else text.strip()
    return error == _WRONG_KEY


def _verdicts(answer: Mapping[str, Json], events: Events, pause: float) -> dict[int, Outcome]:
    """Say what becomes of the events that an answer names, by their indexes."""
    words = _words(answer)
    throttled = Outcome.retry(pause, code="throttled", detail=words)
    spent = Outcome.rejected("over_daily_quota", words)
    silenced = Outcome.rejected("silenced_device", words)
    verdicts = {
        **dict.fromkeys(_indexes(answer.get("throttled_events"), events), throttled),
        **dict.fromkeys(_of_whom(answer, "throttled", events), throttled),
        **dict.fromkeys(_of_whom(answer, "exceeded_daily_quota", events), spent),
        **dict.fromkeys(_indexes(answer.get("silenced_events"), events), silenced),
        **dict.fromkeys(_of_whom(answer, "silenced", events), silenced),
    }
    for kind in _WRONG_EVENTS:
        fields = answer.get(kind)
        for field, indexes in fields.items() if isinstance(fields, dict) else ():
            wrong = Outcome.rejected("invalid_event", _words(answer, f"{kind}: {field}"))
            verdicts |= dict.fromkeys(_indexes(indexes, events), wrong)
    return verdicts


def _indexes(found: Json, events: Events) -> list[int]:
    """Read a list of indexes; what is no event's is left out."""
    known = range(len(events))
    return [i for i in found if type(i) is int and i in known] if isinstance(found, list) else []


def _of_whom(answer: Mapping[str, Json], what: str, events: Events) -> list[int]:
    """Find the events of the users and devices that an answer names by their ids."""
    users, devices = _ids(answer.get(f"{what}_users")), _ids(answer.get(f"{what}_devices"))
    return [
        index
        for index, event in enumerate(events)
        if event.get("user_id") in users or event.get("device_id") in devices
    ]


def _ids(found: Json) -> Collection[str]:
    return found if isinstance(found, (dict, list)) else ()


def _words(answer: Mapping[str, Json], more: str = "") -> str:
    """Quote Amplitude: its sentence, and which field it names; never the ids that it lists."""
    error = answer.get("error")
    texts = [error if isinstance(error, str) else "", more]
    return ": ".join(filter(None, texts))[:_WORDS]
