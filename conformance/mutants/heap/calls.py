"""Slips in what each call becomes."""

from conformance.mutants.mutation import Mutant


def _slip(mutant_id: str, description: str, old: str, new: str, module: str = "calls") -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


_KEY = (
    '        idempotency_key=message.message_id if rules.key == "message" else _own_key(given),\n'
)

CALLS = (
    _slip(
        "idempotency-key-random",
        "the idempotency key is drawn by chance: a repeat counts twice",
        _KEY,
        "        idempotency_key=__import__('uuid').uuid4().hex,\n",
    ),
    _slip(
        "idempotency-key-of-the-user",
        "the idempotency key is the user's id: only their first event counts",
        _KEY,
        "        idempotency_key=message.user_id or message.message_id,\n",
    ),
    _slip(
        "event-not-cut",
        "an event's name is sent whole, however long",
        'name = cut(name, EVENT_CHARACTERS, "event", notes)',
        "name = str(name)",
    ),
    _slip(
        "event-lower-cased",
        "event names are tidied up",
        'name = cut(name, EVENT_CHARACTERS, "event", notes)',
        'name = cut(name.lower(), EVENT_CHARACTERS, "event", notes)',
    ),
    _slip(
        "event-cut-without-a-note",
        "a name is cut in silence",
        'name = cut(name, EVENT_CHARACTERS, "event", notes)',
        'name = cut(name, EVENT_CHARACTERS, "event", [])',
    ),
    _slip(
        "properties-without-notes",
        "what happens to an event's properties is not reported",
        'properties = event_properties(whole, "properties", notes)',
        'properties = event_properties(whole, "properties", [])',
    ),
    _slip(
        "properties-as-user-properties",
        "an event's properties are held to the rules for users: its id is renamed",
        'properties = event_properties(given, "properties", notes)',
        'properties = flat_user(given, "properties", notes, settings)',
    ),
    _slip(
        "page-properties-win",
        "a property called name takes the place of the page's own",
        "whole = {**given, **named} if named",
        "whole = {**named, **given} if named",
    ),
    _slip(
        "page-name-conflict-in-silence",
        "the page's own name replaces a property without a note",
        "if isinstance(given, dict) and given.get(key, value) != value:",
        "if False:",
    ),
    _slip(
        "page-name-always-noted",
        "a name that stands in both places is reported as a conflict",
        "if isinstance(given, dict) and given.get(key, value) != value:",
        "if key in given:",
    ),
    _slip(
        "page-category-forgotten",
        "a page's category is lost",
        "    for field in rules.named:\n",
        "    for field in rules.named[:1]:\n",
    ),
    _slip(
        "page-empty-name",
        "an empty name is sent, over the property",
        "        elif value and isinstance(value, str)",
        "        elif isinstance(value, str)",
    ),
    _slip(
        "page-by-its-name",
        "each page becomes an event of its own",
        "        given = rules.event_names[_call(message)]\n",
        "        given = rules.event_names[_call(message)]\n"
        "    if isinstance(message, Page):\n"
        '        given = f"Viewed {message.name} page"\n',
    ),
    _slip(
        "screen-as-page",
        "a screen is recorded as a page",
        '"Screen viewed"',
        '"Page viewed"',
        "dialects",
    ),
    _slip(
        "track-without-event",
        "a track without a name becomes the event `track`",
        '        raise Reject("missing_event", "name what the user did", "event")\n',
        '        return "track"\n',
    ),
    _slip(
        "blank-event-accepted",
        "blanks are an event's name",
        "        blank = not given or (rules.event_shape is None and not given.strip())",
        "        blank = not given",
    ),
    _slip(
        "profile-after-the-event",
        "the user's traits are sent after the event that carried them",
        "    return [\n"
        "        endpoints.add_user_properties(\n"
        "            settings, identity=found.identity, properties=profile, notes=[]\n"
        "        ),\n"
        "        request,\n"
        "    ]\n",
        "    return [\n"
        "        request,\n"
        "        endpoints.add_user_properties(\n"
        "            settings, identity=found.identity, properties=profile, notes=[]\n"
        "        ),\n"
        "    ]\n",
    ),
    _slip(
        "profile-always",
        "every event costs a second request, with nothing in it",
        "        return profile or None\n",
        "        return profile\n",
    ),
    _slip(
        "profile-never",
        "the traits in an event's context are lost",
        "    if profile is None:\n        return [request]\n",
        "    if True:\n        return [request]\n",
    ),
    _slip(
        "profile-with-anonymous-id",
        "an event's anonymousId is written into its user's profile",
        "    request = _event_request(settings, found,",
        "    if profile and message.anonymous_id:\n"
        '        profile["anonymous_id"] = message.anonymous_id\n'
        "    request = _event_request(settings, found,",
    ),
    _slip(
        "profile-as-event-properties",
        "the traits in an event's context are not held to the rules for users",
        'profile = flat_user(traits, "context.traits", notes, settings)',
        'profile = flat_event(traits, "context.traits", notes, settings)',
    ),
    _slip(
        "identify-without-anonymous-id",
        "an identify's anonymousId is lost",
        "    if own_id is not None:\n        profile = _ADD",
        "    if False:\n        profile = _ADD",
    ),
    _slip(
        "anonymous-id-over-the-trait",
        "the anonymousId replaces a trait that the sender set",
        '    if "anonymous_id" not in profile:\n',
        "    if True:\n",
    ),
    _slip(
        "identify-merges-always",
        "every identify merges, whether or not that was asked for",
        'if settings.anonymous_events != "stitch" or found.identity is None:',
        "if found.identity is None:",
    ),
    _slip(
        "identify-merges-never",
        "stitching sends events but never merges them",
        'if settings.anonymous_events != "stitch" or found.identity is None:',
        "if True:",
    ),
    _slip(
        "merge-before-the-profile",
        "a user is merged before they exist",
        "return [request, *_merge(message, settings, found, found.anonymous_id)]",
        "return [*_merge(message, settings, found, found.anonymous_id), request]",
    ),
    _slip(
        "merge-of-a-placeholder",
        "an identify merges whoever has a placeholder as anonymousId",
        "return [request, *_merge(message, settings, found, found.anonymous_id)]",
        "return [request, *_merge(message, settings, found, message.anonymous_id)]",
    ),
    _slip(
        "merge-without-its-time",
        "a merge happens when it arrives",
        "timestamp = _time_in_utc(message, settings.rules, notes)\n    return [",
        "timestamp = None\n    return [",
    ),
    _slip(
        "merge-ignores-heaps-own-id",
        "Heap's own user_id is ignored in a merge",
        "    if found.user_id is not None:\n        user_id = found.user_id\n    elif",
        "    if False:\n        user_id = found.user_id\n    elif",
    ),
    _slip(
        "alias-merges-always",
        "an alias merges without stitching",
        '    if settings.anonymous_events != "stitch":\n        return _NO_STITCHING\n    found',
        "    found",
    ),
    _slip(
        "alias-merges-the-anonymous-id",
        "an alias merges its anonymousId, not its previousId",
        "return _merge(message, settings, found, message.previous_id)",
        "return _merge(message, settings, found, found.anonymous_id or message.previous_id)",
    ),
    _slip(
        "alias-of-a-placeholder",
        "an alias merges whoever has a placeholder",
        "if danger := unsafe(message.previous_id, settings):",
        "if danger := None:",
    ),
    _slip(
        "alias-without-previous-id",
        "an alias without a previousId is ignored in silence",
        'raise Reject("missing_previous_id", "say which id is the user\'s too", "previousId")',
        "return []",
    ),
    _slip(
        "group-without-id",
        "a group without a groupId is ignored in silence",
        'raise Reject("missing_group_id", "say which account it is", "groupId")',
        "return []",
    ),
    _slip(
        "group-of-a-placeholder",
        "a placeholder becomes an account",
        "if danger := unsafe(message.group_id, settings):",
        "if danger := None:",
    ),
    _slip(
        "group-as-user-properties",
        "an account's traits are held to the rules for users",
        'properties = flat_event(message.traits, "traits", notes, settings)',
        'properties = flat_user(message.traits, "traits", notes, settings)',
    ),
    _slip(
        "group-with-the-users-traits",
        "the user's traits are written to the account",
        'properties = flat_event(message.traits, "traits", notes, settings)',
        "properties = flat_event({**message.context_traits, **message.traits}, "
        '"traits", notes, settings)',
    ),
    _slip(
        "group-joins-nobody",
        "accountIdProperty is ignored",
        "if settings.account_id_property is None or message.group_id is None:",
        "if True:",
    ),
    _slip(
        "group-joins-nobody-in-silence",
        "a user who cannot be joined is not reported",
        '        notes.extend((*found.notes, Note("dropped", "userId", detail)))\n',
        "",
    ),
    _slip(
        "group-joins-afterwards",
        "the account is written before the user who leads to it",
        "        *_account_membership(message, settings, notes),\n"
        "        endpoints.add_account_properties(\n"
        "            settings, account_id=message.group_id, properties=properties, notes=notes\n"
        "        ),\n",
        "        endpoints.add_account_properties(\n"
        "            settings, account_id=message.group_id, properties=properties, notes=notes\n"
        "        ),\n"
        "        *_account_membership(message, settings, notes),\n",
    ),
    _slip(
        "original-timestamp-forgotten",
        "only timestamp counts",
        "    for field in rules.time_fields:\n        text = ",
        "    for field in rules.time_fields[:1]:\n        text = ",
    ),
    _slip(
        "sent-at-counts",
        "the time of sending stands in for the time of happening",
        "    name, given, time, message_id, identity = plain\n",
        "    name, given, time, message_id, identity = plain\n    time = time or message.sent_at\n",
    ),
    _slip(
        "timestamp-as-given",
        "a time is sent as the sender wrote it",
        '        written = utc_text(text, is_valid=field != "receivedAt")\n',
        "        written = text\n",
    ),
    _slip(
        "timestamp-of-the-clock",
        "where there is no time, the host's clock is read",
        'it is sent"))\n        return written\n    return None',
        'it is sent"))\n        return written\n    return datetime.now(UTC).isoformat()',
    ),
    _slip(
        "partner-key-as-given",
        "a short key goes to the partner endpoint, which refuses it",
        "if len(message_id) >= PARTNER_KEY_CHARACTERS:",
        "if True:",
    ),
    _slip(
        "partner-key-off-by-one",
        "a key of just enough characters is replaced",
        "if len(message_id) >= PARTNER_KEY_CHARACTERS:",
        "if len(message_id) > PARTNER_KEY_CHARACTERS:",
    ),
    _slip(
        "partner-key-in-silence",
        "a key is replaced without a note",
        '    notes.append(Note("converted", "messageId", detail))\n',
        "",
    ),
    _slip(
        "partner-key-of-python",
        "a short key becomes Python's hash of it, which differs from process to process",
        'return hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]',
        "return str(hash(message_id)).zfill(32)",
    ),
    _slip(
        "partner-numbers",
        "numbers go to the partner endpoint, which takes only text",
        'properties=texts(event.properties, "properties", notes),',
        "properties=event.properties,",
    ),
    _slip(
        "partner-session-in-silence",
        "an anonymous event loses its session without a note",
        '        notes.append(Note("dropped", path, "anonymous events carry no session"))\n',
        "        pass\n",
    ),
    _slip(
        "reject-ignored",
        "anonymousEvents = reject sends them all the same",
        '        case "reject":\n',
        '        case "never":\n',
    ),
    _slip(
        "stitch-as-partner",
        "stitching uses the partner endpoint",
        "return endpoints.track(settings, event, notes, user_id=user_id)\n        case",
        "return _anonymous_event(settings, event, notes, found.anonymous_id)\n        case",
    ),
    _slip(
        "stitch-as-identity",
        "a stitched id is sent as an identity: a second user for good",
        "return endpoints.track(settings, event, notes, user_id=user_id)\n        case",
        "return endpoints.track(settings, event, notes, identity=user_id)\n        case",
    ),
    _slip(
        "heaps-own-id-ignored",
        "a user_id in integrations.Heap is ignored",
        "    if found.user_id is not None:\n"
        "        return endpoints.track(settings, event, notes, user_id=found.user_id)\n",
        "",
    ),
    _slip(
        "both-identifiers",
        "identity and user_id are sent together, which Heap refuses",
        "return endpoints.track(settings, event, notes, user_id=found.user_id)",
        "return endpoints.track("
        "settings, event, notes, identity=found.identity, user_id=found.user_id)",
    ),
    _slip(
        "session-forgotten",
        "a session_id in integrations.Heap is lost",
        "event = msgspec.structs.replace(event, session_id=found.session_id)",
        "event = msgspec.structs.replace(event, session_id=None)",
    ),
)
