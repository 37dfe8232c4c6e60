"""Slips in the choice of an identifier: those that Heap cannot undo."""

from conformance.mutants.mutation import Mutant


def _slip(mutant_id: str, description: str, old: str, new: str, module: str = "identity") -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


_PLACEHOLDERS = (
    "null",
    "undefined",
    "none",
    "nan",
    "true",
    "false",
    "guest",
    "anonymous",
    "user",
    "unknown",
    "0",
    "-1",
    "[object object]",
    "(null)",
    "n/a",
)

IDENTITY = (
    *(
        _slip(
            f"placeholder-{placeholder}",
            f"everybody called {placeholder} becomes one user",
            "UNSAFE_IDENTITIES = PLACEHOLDER_IDS\n",
            f'UNSAFE_IDENTITIES = tuple(i for i in PLACEHOLDER_IDS if i != "{placeholder}")\n',
            "settings",
        )
        for placeholder in _PLACEHOLDERS
    ),
    _slip(
        "identity-from-anonymous-id",
        "an anonymousId is sent as an identity: a second user for good",
        'identity, path = message.user_id, "userId"',
        'identity, path = message.user_id or message.anonymous_id, "userId"',
    ),
    _slip(
        "identity-from-the-traits",
        "an identity is guessed from the traits",
        'identity, path = message.user_id, "userId"',
        'identity, path = message.user_id or getattr(message, "traits", {}).get("email"), "userId"',
    ),
    _slip(
        "identity-lower-cased",
        "identities are lower-cased: two users become one",
        'field, who = "identity", identity\n',
        'field, who = "identity", identity.lower()\n',
        "endpoints",
    ),
    _slip(
        "identity-cut",
        "a long identity is cut: two users become one",
        "    if len(identity) > IDENTITY_CHARACTERS:\n"
        '        return f"it is longer than {IDENTITY_CHARACTERS} characters"\n',
        "",
    ),
    _slip(
        "identity-in-bytes",
        "an identity's length is counted in bytes",
        "if len(identity) > IDENTITY_CHARACTERS:",
        "if len(identity.encode('utf-8', 'replace')) > IDENTITY_CHARACTERS:",
    ),
    _slip(
        "placeholders-in-one-casing",
        "a placeholder in capitals is a user",
        "reason = placeholder_reason(identity, settings.unsafe_identities)",
        "reason = placeholder_reason(identity, settings.unsafe_identities)\n"
        "    if identity != identity.casefold():\n        reason = None",
    ),
    _slip(
        "placeholders-by-their-beginning",
        "whoever begins like a placeholder is nobody",
        "Reject, placeholder_reason\n",
        "Reject, placeholder_reason as by_name\n"
        "def placeholder_reason(identity, listed):\n"
        "    begins = identity.casefold().startswith(tuple(listed))\n"
        '    return "it is a placeholder" if begins else by_name(identity, listed)\n',
    ),
    _slip(
        "placeholders-of-ones-own-as-given",
        "a list of one's own counts in its own casing only",
        "frozenset(identity.strip().casefold() for identity in typed.unsafe_identities)",
        "frozenset(identity.strip() for identity in typed.unsafe_identities)",
        "settings",
    ),
    _slip(
        "placeholders-of-ones-own-added",
        "a list of one's own is added to ours, which nobody can then shorten",
        "frozenset(identity.strip().casefold() for identity in typed.unsafe_identities)",
        "frozenset({identity.strip().casefold() for identity in typed.unsafe_identities} "
        "| set(UNSAFE_IDENTITIES))",
        "settings",
    ),
    _slip(
        "unsafe-in-silence",
        "a placeholder is left out without a note",
        "    notes.extend(note for note in (danger, anonymous_danger) if note)\n",
        "",
    ),
    _slip(
        "anonymous-placeholder",
        "everybody whose anonymousId is a placeholder becomes one",
        "anonymous_id=None if anonymous_danger else message.anonymous_id,",
        "anonymous_id=message.anonymous_id,",
    ),
    _slip(
        "unsafe-as-missing",
        "an unsafe identity is reported as a missing one",
        'return Reject("unsafe_identity", f"{danger.detail}; send {wanted}", danger.path)',
        'return Reject("missing_identity", f"{danger.detail}; send {wanted}", danger.path)',
    ),
    _slip(
        "identity-option-ignored",
        "integrations.Heap.identity is ignored",
        'given = _option_text(options, "identity", notes)',
        "given = None",
    ),
    _slip(
        "user-id-beside-the-identity-option",
        "integrations.Heap with both ids sends the wrong one",
        "        user_id = None\n    return Identifiers(",
        "        pass\n    return Identifiers(",
    ),
    _slip(
        "user-id-unchecked",
        "any text is a user_id",
        "if _USER_ID.fullmatch(text) and int(text) < 1 << USER_ID_BITS:",
        "if text:",
    ),
    _slip(
        "user-id-2-to-the-53",
        "2^53 is a user_id",
        "int(text) < 1 << USER_ID_BITS:",
        "int(text) <= 1 << USER_ID_BITS:",
    ),
    _slip(
        "user-id-2-to-the-53-minus-1",
        "2^53 - 1 is none",
        "int(text) < 1 << USER_ID_BITS:",
        "int(text) < (1 << USER_ID_BITS) - 1:",
    ),
    _slip(
        "number-options-refused",
        "a number in integrations.Heap is no id",
        "    if isinstance(value, int) and not isinstance(value, bool):\n"
        "        value = str(value)\n",
        "",
    ),
    _slip(
        "options-in-silence",
        "an option that cannot be used is left out without a note",
        '    notes.append(Note("dropped", f"integrations.Heap.{name}", detail))\n',
        "    pass\n",
    ),
    _slip(
        "heap-io-forgotten",
        "RudderStack's name for Heap does not count",
        'NAMES = ("Heap", RUDDERSTACK_NAME)',
        'NAMES = ("Heap",)',
    ),
    _slip(
        "stitched-by-another-digest",
        "the stitched user_id is another one than before: everybody splits in two",
        "hashlib.sha256(anonymous_id",
        "hashlib.sha1(anonymous_id",
    ),
    _slip(
        "stitched-from-the-end",
        "the stitched user_id takes other bits of the digest",
        'int.from_bytes(digest[:8], "big")',
        'int.from_bytes(digest[-8:], "big")',
    ),
    _slip(
        "stitched-by-python",
        "the stitched user_id is Python's hash: another one in every process",
        'return str(int.from_bytes(digest[:8], "big") >> (64 - USER_ID_BITS))',
        "return str(abs(hash(anonymous_id)) >> 11)",
    ),
    _slip(
        "stitched-as-latin-1",
        "ids in other scripts become the same user_id",
        'anonymous_id.encode("utf-8", "surrogatepass")',
        'anonymous_id.encode("ascii", "replace")',
    ),
)
