"""Slips in sending what other systems send. Every single option is changed in the tests of Heap."""

from conformance.mutants.mutation import Mutant


def _slip(mutant_id: str, description: str, old: str, new: str, module: str) -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


DIALECTS = (
    _slip(
        "dialect-earlier-key-wins",
        "of two keys that flatten to the same, the first one is sent",
        "        flat[key] = _scalar(value, shape, path, key, notes)\n",
        "        flat.setdefault(key, _scalar(value, shape, path, key, notes))\n",
        "flattening",
    ),
    _slip(
        "dialect-dot-before-brackets",
        "an index in brackets gets a dot",
        'yield f"{key}[{index}]" if brackets',
        'yield f"{key}.[{index}]" if brackets',
        "flattening",
    ),
    _slip(
        "dialect-inner-nesting-as-text",
        "only what is nested twice becomes JSON text",
        'depth == 1 and nested == "stringify"',
        'depth == 2 and nested == "stringify"',
        "flattening",
    ),
    _slip(
        "dialect-numbers-as-python",
        "numbers are written as Python writes them",
        "    return javascript.text(value)\n\n\ndef _note(",
        "    return str(value).lower()\n\n\ndef _note(",
        "flattening",
    ),
    _slip(
        "dialect-lists-are-falsy",
        "an empty list is no identity, as in Python",
        '    "falsy": lambda value: not value and not isinstance(value, (dict, list)),\n',
        '    "falsy": lambda value: not value,\n',
        "identity",
    ),
    _slip(
        "dialect-every-place-at-once",
        "the last place of an identity counts, not the first",
        "    for place in places:\n",
        "    for place in reversed(places):\n",
        "identity",
    ),
    _slip(
        "dialect-mapped-identity-ignored",
        "the identity that is mapped is not asked for",
        '    if "identity" in message.mapped:\n        given = loose(',
        "    if False:\n        given = loose(",
        "identity",
    ),
    _slip(
        "dialect-email-of-the-traits-first",
        "the email among the traits comes before the message's own",
        '    found = {"email": message.other("email")}\n',
        '    found = {"email": message.context_traits.get("email") or message.other("email")}\n',
        "identity",
    ),
    _slip(
        "dialect-name-under-the-properties",
        "a property called name takes the place of the message's own",
        "{**rules.constants, **flat, **named}",
        "{**rules.constants, **named, **flat}",
        "calls",
    ),
    _slip(
        "dialect-constants-win",
        "a sender's property of that name is overwritten",
        "{**rules.constants, **flat, **named}",
        "{**flat, **named, **rules.constants}",
        "calls",
    ),
    _slip(
        "dialect-seconds-since-1970",
        "a time that is a number is read as seconds",
        "timedelta(milliseconds=math.trunc(milliseconds))",
        "timedelta(seconds=math.trunc(milliseconds))",
        "calls",
    ),
    _slip(
        "dialect-only-good-times",
        "a time that is none is left out, where it should be passed on",
        "        given = message.as_sent(field)\n"
        '        if given in (None, ""):\n'
        "            continue\n"
        "        if _time_field",
        "        given = _time_field(message, field)\n"
        '        if given in (None, ""):\n'
        "            continue\n"
        "        if _time_field",
        "calls",
    ),
    _slip(
        "dialect-traits-of-the-context",
        "an identify without traits takes those of its context in every dialect",
        "    if rules.user_traits_fallback:\n        traits = message.traits\n",
        "    if True:\n        traits = message.traits\n",
        "calls",
    ),
    _slip(
        "dialect-profile-of-nothing",
        "a known user's event updates the user though there is nothing to write",
        "    if found.anonymous_id is None and not message.context_traits:\n        return None\n",
        "",
        "calls",
    ),
    _slip(
        "dialect-anonymous-id-over-the-trait",
        "the anonymousId takes the place of the trait of that name",
        '{"anonymous_id": anonymous_id, **profile}',
        '{**profile, "anonymous_id": anonymous_id}',
        "calls",
    ),
    _slip(
        "dialect-empty-traits-are-none",
        "an identify with empty traits is rejected",
        '    return message.other("traits") is not None or',
        "    return False and",
        "calls",
    ),
    _slip(
        "dialect-no-name-for-a-track",
        "the name at a track's root is not seen",
        "    value = message.other(field)\n    return value if",
        "    value = None\n    return value if",
        "calls",
    ),
)
