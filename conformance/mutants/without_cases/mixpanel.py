"""Slips in the Mixpanel destination that no case is needed to find."""

from __future__ import annotations

from collections import Counter

import msgspec

from conformance.mutants.mutation import Mutant
from destination_router import HttpRequest


def _slip(  # noqa: PLR0913, PLR0917 -- a row of a table
    name: str, check: str, description: str, module: str, old: str, new: str
) -> Mutant:
    found = f"check/{check}"
    return Mutant(id=name, check=found, description=description, module=module, old=old, new=new)


def _by_user(requests: list[HttpRequest]) -> list[HttpRequest]:
    """Sort the items of each bulk by whom they are about, as for a neat batch."""
    return [_sorted(request) if len(request.items) > 1 else request for request in requests]


def _sorted(request: HttpRequest) -> HttpRequest:
    def of_whom(place: int) -> str:
        record = request.json[place]
        return str(record.get("properties", record).get("distinct_id", ""))

    order = sorted(range(len(request.items)), key=of_whom)
    items = tuple(request.items[place] for place in order)
    return msgspec.structs.replace(
        request,
        json=[request.json[place] for place in order],
        items=items,
        message_ids=tuple(message_id for item in items for message_id in item),
    )


def _one_a_user(requests: list[HttpRequest]) -> list[HttpRequest]:
    """Lose the later of two events of a message."""
    seen: Counter[str] = Counter()
    kept = []
    for request in requests:
        seen.update(request.message_ids)
        if any(seen[message_id] == 1 for message_id in request.message_ids):
            kept.append(request)
    return kept[:-1]


MUTANTS = (
    Mutant(
        id="sorted-by-user",
        check="check/packing-order-of-visitors",
        description="a bulk is sorted by user",
        repack=_by_user,
    ),
    Mutant(
        id="last-request-lost",
        check="check/settings-all-work",
        description="the last request is lost",
        repack=_one_a_user,
    ),
    _slip(
        "events-first",
        "packing-order",
        "events go ahead of profiles",
        "packing",
        "        *_bulks(_fold(kinds[ENGAGE[1:]]), PROFILES_PER_REQUEST),\n"
        "        *_bulks(_fold(kinds[GROUPS[1:]]), PROFILES_PER_REQUEST),\n"
        "        *_bulks(kinds[IMPORT[1:]], EVENTS_PER_REQUEST),\n",
        "        *_bulks(kinds[IMPORT[1:]], EVENTS_PER_REQUEST),\n"
        "        *_bulks(_fold(kinds[ENGAGE[1:]]), PROFILES_PER_REQUEST),\n"
        "        *_bulks(_fold(kinds[GROUPS[1:]]), PROFILES_PER_REQUEST),\n",
    ),
    _slip(
        "bulk-reversed",
        "packing-order",
        "events go out last in, first out",
        "packing",
        "        *_bulks(kinds[IMPORT[1:]], EVENTS_PER_REQUEST),\n",
        "        *_bulks(kinds[IMPORT[1:]][::-1], EVENTS_PER_REQUEST),\n",
    ),
    _slip(
        "blank-event",
        "requests-no-empty-identifier",
        "an event of blanks is sent",
        "events",
        "    if not message.event or not message.event.strip():\n",
        "    if not message.event:\n",
    ),
    _slip(
        "unattributed-unsaid",
        "requests-no-empty-identifier",
        "an event of nobody goes out without a note",
        "events",
        '        notes.append(Note("unattributed", "userId", detail))\n',
        "        pass\n",
    ),
    _slip(
        "previous-id-of-none",
        "requests-no-empty-identifier",
        "an alias of nobody is sent",
        "calls",
        '    former = checked_id(previous, path, "the id that the user had")\n',
        '    former = previous or ""\n',
    ),
    _slip(
        "name-replaces-property",
        "notes-nothing-replaced",
        "a page's name replaces the property of that name without a note",
        "events",
        "        if message.properties.get(key, value) != value\n",
        "        if False\n",
    ),
    _slip(
        "null-unsaid",
        "notes-nothing-missing",
        "null properties vanish",
        "properties",
        "        found = fitted_value(value, kind, place, notes)\n",
        "        found = None if value is None else fitted_value(value, kind, place, notes)\n",
    ),
    _slip(
        "rename-unsaid-clash",
        "notes-nothing-replaced",
        "what is renamed overwrites what is there",
        "properties",
        "    if wanted != name and (properties.get(wanted) is not None or wanted in kept):\n",
        "    if False:\n",
    ),
    _slip(
        "context-of-objects",
        "robustness-context",
        "the context is taken for an object of objects",
        "events",
        "        value = value.get(part) if isinstance(value, dict) else None\n",
        "        value = (value or {}).get(part)\n",
    ),
    _slip(
        "ip-of-any-type",
        "robustness-context",
        "the address is sent whatever it is, in upper case",
        "events",
        "    return given if isinstance(given, str) and given else None\n",
        "    return given.upper() if given else None\n",
    ),
    _slip(
        "value-in-the-time-note",
        "words-no-personal-value",
        "the note on a time quotes it",
        "events",
        'f"it is no time since {EARLIEST.year}"',
        'f"{text} is no time since {EARLIEST.year}"',
    ),
    _slip(
        "value-in-the-id-note",
        "words-no-personal-value",
        "the note on an id quotes it",
        "identity",
        'f"it is longer than {ID_BYTES} bytes, and Mixpanel would cut it"',
        'f"{identifier} is longer than {ID_BYTES} bytes, and Mixpanel would cut it"',
    ),
    _slip(
        "value-in-the-cut-note",
        "words-no-personal-value",
        "the note on a cut text quotes it",
        "properties",
        'f"{len(content)} bytes were cut to {TEXT_BYTES}"',
        'f"{text} was cut to {TEXT_BYTES} bytes"',
    ),
    _slip(
        "no-reason",
        "words-to-act-on",
        "a rejection says nothing to act on",
        "events",
        '"name what the user did"',
        '"invalid"',
    ),
    _slip(
        "ignored-without-a-reason",
        "words-to-act-on",
        "a message without traits is ignored, and nothing says why",
        "calls",
        '    return Ignored("it has no traits to set, and no two ids that Mixpanel would join")\n',
        "    return []\n",
    ),
    _slip(
        "ignored-in-one-word",
        "words-to-act-on",
        "a message without traits is ignored, and one word says why",
        "calls",
        'Ignored("it has no traits to set, and no two ids that Mixpanel would join")',
        'Ignored("empty")',
    ),
    _slip(
        "small-window",
        "packing-limits",
        "no window fills the largest bulk",
        "plugin",
        "    return EVENTS_PER_REQUEST\n",
        "    return EVENTS_PER_REQUEST // 2\n",
    ),
    _slip(
        "india-over-http",
        "settings-all-work",
        "one region's address is http",
        "settings",
        '"https://api-in.mixpanel.com"',
        '"http://api-in.mixpanel.com"',
    ),
    _slip(
        "region-without-address",
        "settings-all-work",
        "a region is offered and has no address",
        "settings",
        "            enum=list(API),\n",
        '            enum=[*API, "AU"],\n',
    ),
    _slip(
        "legacy-unknown",
        "settings-all-work",
        "a mode of merging is offered and not known",
        "calls",
        '        case "legacy":\n',
        '        case "legacy" if 1 // (settings.id_merge != "legacy"):\n',
    ),
)
