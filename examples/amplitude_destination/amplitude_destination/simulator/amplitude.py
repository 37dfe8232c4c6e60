"""The simulated Amplitude itself, without HTTP's machinery: a request in, an answer out.

What answers hold: http-v2, batch, group-identify and user-mapping of
https://amplitude.com/docs/apis/analytics. Where a page is silent about an answer, it is a line of
text, which says less than any JSON.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from amplitude_destination.simulator import limits
from amplitude_destination.simulator.events import faults
from amplitude_destination.simulator.forms import group_problem, mapping_problem
from amplitude_destination.simulator.limits import EventPath
from amplitude_destination.simulator.rates import Pace
from amplitude_destination.simulator.store import Store

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_ENVELOPE = {"api_key", "events", "options", "client_upload_time"}


class Answer(NamedTuple):
    """What the client is told: a JSON object, or a line of text."""

    status: int
    body: dict[str, Any] | str


class SimulatedAmplitude:
    """One project of Amplitude's.

    Attributes:
        silenced: devices whose events Amplitude refuses.
        over_quota: users and devices that sent too much today.
        store: what Amplitude holds.

    Args:
        api_key: the project's.
        clock: Unix time in seconds.
    """

    def __init__(self, api_key: str, clock: Callable[[], float]) -> None:
        self.silenced: set[str] = set()
        self.over_quota: set[str] = set()
        self.store = Store()
        self._api_key = api_key
        self._clock = clock
        self._paces = {path: _paces(rule) for path, rule in limits.EVENT_PATHS.items()}
        most, seconds = limits.MAPPINGS
        self._mapping_pace = Pace(most / seconds, seconds, seconds)

    def answer(self, path: str, content_type: str, body: bytes) -> Answer:
        """Act on one POST. What is not answered 200 changes nothing that Amplitude holds."""
        kind = content_type.partition(";")[0].strip().lower()
        if path in limits.EVENT_PATHS:
            return self._events(path, body) if kind == _JSON else _refused("Missing request body")
        take = {"/groupidentify": self._groups, "/usermap": self._mappings}.get(path)
        if take is None:
            return Answer(404, "Not Found")
        if kind != _FORM:
            return Answer(400, "missing_event")
        return take(body)

    # -- events --------------------------------------------------------------------------------

    def _events(self, path: str, body: bytes) -> Answer:
        rule = limits.EVENT_PATHS[path]
        if len(body) > rule.max_bytes:
            return _too_large()
        try:
            content = msgspec.json.decode(body)  # refuses NaN and the like
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _refused("Invalid JSON request body")
        if not isinstance(content, dict) or not content.keys() <= _ENVELOPE:
            return _refused("Invalid event JSON")
        for name in ("api_key", "events"):
            if name not in content:
                return _refused("Request missing required field", missing_field=name)
        if content["api_key"] != self._api_key:
            return _refused("Invalid API key")
        events = content["events"]
        if not isinstance(events, list) or not events:
            return _refused("Request missing required field", missing_field="events")
        if len(events) > rule.max_events:
            return _too_large()
        options = content.get("options", {})
        shortest = options.get("min_id_length", limits.MIN_ID_LENGTH)
        if options.keys() - {"min_id_length"} or type(shortest) is not int or shortest < 1:
            return _refused("Invalid field values on some events", missing_field="options")
        refused = self._wrong(events, shortest, rule) or self._silenced(events, rule)
        return refused or self._too_many(path, events, rule) or self._taken(events, len(body))

    def _wrong(self, events: list[Any], shortest: int, rule: EventPath) -> Answer | None:
        found: dict[str, dict[str, list[int]]] = {}
        for index, event in enumerate(events):
            for kind, field in dict.fromkeys(faults(event, shortest)):
                named = found.setdefault(kind, {}).setdefault(field, [])
                if rule.names_every_index or not named:
                    named.append(index)
        return _refused("Invalid field values on some events", **found) if found else None

    def _silenced(self, events: list[dict[str, Any]], rule: EventPath) -> Answer | None:
        silenced = [i for i, event in enumerate(events) if event.get("device_id") in self.silenced]
        if not silenced:
            return None
        return _refused(
            "Events silenced for device_id",
            eps_threshold=rule.events_per_second,
            silenced_devices=sorted({events[i]["device_id"] for i in silenced}),
            silenced_events=silenced,
            throttled_devices={},
            throttled_events=[],
            exceeded_daily_quota_devices={},
        )

    def _too_many(self, path: str, events: list[dict[str, Any]], rule: EventPath) -> Answer | None:
        now = self._clock()
        counted = [Counter(_named(events, name)) for name in ("user_id", "device_id")]
        paces = self._paces[path]
        fast = [pace.too_fast(c, now) for pace, c in zip(paces, counted, strict=True)]
        spent = [{key: 500_000 for key in c if key in self.over_quota} for c in counted]
        if not any((*fast, *spent)):
            for pace, count in zip(paces, counted, strict=True):
                pace.count(count, now)
            return None
        answer = {
            "code": 429,
            "error": "Too many requests for some devices and users",
            "eps_threshold": rule.events_per_second,
            "throttled_users": fast[0],
            "throttled_devices": fast[1],
            "throttled_events": [
                index
                for index, event in enumerate(events)
                if event.get("user_id") in fast[0] or event.get("device_id") in fast[1]
            ],
        }
        if rule.names_every_index:  # only /batch tells of daily quotas
            answer["exceeded_daily_quota_users"] = spent[0]
            answer["exceeded_daily_quota_devices"] = spent[1]
        return Answer(429, answer)

    def _taken(self, events: list[dict[str, Any]], size: int) -> Answer:
        now = self._clock()
        for event in events:
            self.store.take_event(event, now)
        answer = {
            "code": 200,
            "events_ingested": len(events),
            "payload_size_bytes": size,
            "server_upload_time": int(now * 1000),
        }
        return Answer(200, answer)

    # -- forms ---------------------------------------------------------------------------------

    def _groups(self, body: bytes) -> Answer:
        groups = self._form_items(body, "identification")
        if isinstance(groups, Answer):
            return groups
        if problem := group_problem(groups):
            return Answer(400, problem)
        for group in groups:
            self.store.take_group(group)
        return Answer(200, "success")

    def _mappings(self, body: bytes) -> Answer:
        mappings = self._form_items(body, "mapping")
        if isinstance(mappings, Answer):
            return mappings
        if problem := mapping_problem(mappings):
            return Answer(400, problem)
        now, counts = self._clock(), {"project": len(mappings)}
        if self._mapping_pace.too_fast(counts, now):
            return Answer(429, "Too many requests")
        self._mapping_pace.count(counts, now)
        for mapping in mappings:
            if mapping.get("unmap"):
                self.store.mappings.pop(mapping["user_id"], None)
            else:
                self.store.mappings[mapping["user_id"]] = mapping["global_user_id"]
        return Answer(200, "success")

    def _form_items(self, body: bytes, name: str) -> list[Any] | Answer:
        if len(body) > limits.FORM_BYTES:
            return _too_large()
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        if fields.keys() != {"api_key", name}:
            return Answer(400, f"expected the fields api_key and {name}")
        if fields["api_key"] != [self._api_key]:
            return Answer(400, "Invalid API key")
        try:
            items = json.loads(fields[name][0])
        except (ValueError, RecursionError):
            return Answer(400, f"{name} is not JSON")
        return items if isinstance(items, list) else [items]


def _paces(rule: EventPath) -> tuple[Pace, Pace]:
    """Make the limits of users and of devices."""
    numbers = (rule.events_per_second, rule.seconds_averaged, rule.seconds_paused)
    return Pace(*numbers), Pace(*numbers)


def _named(events: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return [event[name] for event in events if name in event]


def _refused(error: str, **more: Any) -> Answer:
    return Answer(400, {"code": 400, "error": error, **more})


def _too_large() -> Answer:
    return Answer(413, {"code": 413, "error": "Payload too large"})
