"""Slips in the Amplitude destination that no case is needed to find."""

from __future__ import annotations

from conformance.mutants.mutation import Mutant


def _slip(  # noqa: PLR0913, PLR0917 -- a row of a table
    name: str, check: str, description: str, module: str, old: str, new: str
) -> Mutant:
    found = f"check/{check}"
    return Mutant(id=name, check=found, description=description, module=module, old=old, new=new)


MUTANTS = (
    _slip(
        "sorted-by-user",
        "packing-order-of-visitors",
        "events are sorted by user, so that a user's stand together",
        "packing",
        "        packed += packers.get(path, _events)(kinds[path], settings)\n",
        "        in_turn = sorted(kinds[path], key=lambda r: str(r.identity))\n"
        "        packed += packers.get(path, _events)(in_turn, settings)\n",
    ),
    _slip(
        "identifies-last",
        "packing-order",
        "changes of a user go behind the events",
        "packing",
        "        kinds[urlsplit(request.url).path].append(request)\n",
        "        kinds[urlsplit(request.url).path].append(request)\n"
        "    kinds[settings.api.path].sort(\n"
        '        key=lambda r: r.json["events"][0]["event_type"] == "$identify"\n'
        "    )\n",
    ),
    _slip(
        "visitors-last",
        "packing-order-of-visitors",
        "events of visitors go behind those of users",
        "packing",
        "        kinds[urlsplit(request.url).path].append(request)\n",
        "        kinds[urlsplit(request.url).path].append(request)\n"
        "    kinds[settings.api.path].sort(key=lambda r: not r.identity)\n",
    ),
    _slip(
        "blank-event",
        "requests-no-empty-identifier",
        "an event of blanks is sent",
        "calls",
        "    if name is None or not name.strip():\n",
        "    if name is None:\n",
    ),
    _slip(
        "no-id",
        "requests-no-empty-identifier",
        "a message of nobody is sent with no id",
        "identity",
        '    raise Reject("missing_identity", "there is none; send one, or an anonymousId", '
        '"userId")\n',
        '    return Identifiers("", "")\n',
    ),
    _slip(
        "empty-id",
        "requests-no-empty-identifier",
        "absent ids are sent as empty text",
        "identity",
        "return {name: value for name, value in both.items() if value is not None}",
        'return {name: value or "" for name, value in both.items()}',
    ),
    _slip(
        "name-replaces-property",
        "notes-nothing-replaced",
        "a page's name replaces the property of that name without a note",
        "calls",
        '            note(notes, "dropped", f"properties.{key}", '
        'f"the call\'s own {key} is sent")\n',
        "            pass\n",
    ),
    _slip(
        "null-unsaid",
        "notes-nothing-missing",
        "null properties vanish",
        "properties",
        '            note(notes, "dropped", path, "null")\n',
        "            return None\n",
    ),
    _slip(
        "large-number-unsaid",
        "notes-nothing-vanishes",
        "a number is rounded without a note",
        "properties",
        '    note(notes, "converted", path, "a whole number beyond 64 bits was rounded")\n',
        "",
    ),
    _slip(
        "cut-unsaid",
        "notes-nothing-missing",
        "a text is cut without a note",
        "properties",
        '    note(notes, "truncated", path, '
        'f"{len(text)} characters were cut to {TEXT_CHARACTERS}")\n',
        "",
    ),
    _slip(
        "campaign-of-text",
        "robustness-context",
        "the campaign is taken for an object",
        "context",
        "    if not isinstance(given, dict):\n",
        "    if given is None:\n",
    ),
    _slip(
        "location-of-text",
        "robustness-context",
        "the location is taken for an object",
        "context",
        "    if not isinstance(place, dict):\n",
        "    if not place:\n",
    ),
    _slip(
        "member-of-text",
        "robustness-context",
        "the members of the context are taken for objects",
        "context",
        "        value = value.get(name) if isinstance(value, dict) else None\n",
        "        value = value.get(name) if value else None\n",
    ),
    _slip(
        "text-of-any-type",
        "robustness-context",
        "what is no text is cut all the same",
        "context",
        "if isinstance(value, str) and value.strip() else None",
        "if value else None",
    ),
    _slip(
        "value-in-the-id-rejection",
        "words-no-personal-value",
        "the rejection of an id quotes it",
        "identity",
        'f"it is longer than {TEXT_CHARACTERS} characters, and Amplitude would cut it"',
        'f"{value} is longer than {TEXT_CHARACTERS} characters"',
    ),
    _slip(
        "value-in-the-cut-note",
        "words-no-personal-value",
        "the note on a cut text quotes it",
        "properties",
        'f"{len(text)} characters were cut to {TEXT_CHARACTERS}"',
        'f"{text} was cut to {TEXT_CHARACTERS} characters"',
    ),
    _slip(
        "value-in-the-alias-rejection",
        "words-no-personal-value",
        "the rejection of an alias quotes the id",
        "calls",
        '"it is the userId; send the former one"',
        'f"{previous_id} is the userId; send the former one"',
    ),
    _slip(
        "no-reason",
        "words-to-act-on",
        "a rejection says nothing",
        "calls",
        '"name what the user did"',
        '"invalid"',
    ),
    _slip(
        "europe-over-http",
        "settings-all-work",
        "one region's address is http",
        "settings",
        'ORIGINS = {"US": "https://api2.amplitude.com", "EU": "https://api.eu.amplitude.com"}',
        'ORIGINS = {"US": "https://api2.amplitude.com", "EU": "http://api.eu.amplitude.com"}',
    ),
    _slip(
        "region-without-address",
        "settings-all-work",
        "a region is offered and has no address",
        "settings",
        '            "enum": list(ORIGINS),\n',
        '            "enum": [*ORIGINS, "AU"],\n',
    ),
    _slip(
        "secret-told",
        "settings-no-secret-told",
        "a refused setting quotes the key",
        "plugin",
        "    return msgspec.convert(settings, AmplitudeSettings)\n",
        '    if settings.get("groupType") == "1":\n'
        "        raise ValueError(f\"groupType: a number, with key {settings['apiKey']}\")\n"
        "    return msgspec.convert(settings, AmplitudeSettings)\n",
    ),
)
