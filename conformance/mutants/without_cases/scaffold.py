"""Slips that a newcomer makes in the plugin that `destination-router new` wrote."""

from __future__ import annotations

from conformance.mutants.mutation import Mutant

_EVENT = '        "event": message.event,\n        "properties": message.properties,\n'
_NO_EVENT = '        raise Reject("missing_event", "send the event\'s name", "event")\n'
_USER = "    user = message.user_id or message.anonymous_id\n"
_TRAITS = '    body = {"user": message.user_id, "traits": message.traits}\n'


def _slip(  # noqa: PLR0913, PLR0917 -- a row of a table
    name: str, check: str, description: str, old: str, new: str, module: str = "plugin"
) -> Mutant:
    found = f"check/{check}"
    return Mutant(id=name, check=found, description=description, module=module, old=old, new=new)


MUTANTS = (
    _slip(
        "packs-itself",
        "requests-encoding",
        "a body is said to be packed, and is not",
        'HttpRequest(url=f"{API}/events", json=body,',
        'HttpRequest(url=f"{API}/events", json=body, headers={"Content-Encoding": "gzip"},',
    ),
    _slip(
        "packed-twice",
        "requests-encoding",
        "a body is packed, and the host packs it again",
        'HttpRequest(url=f"{API}/events", json=body,',
        'HttpRequest(url=f"{API}/events", gzip=True, content_type="application/json", '
        'content=__import__("zlib").compress(str(body).encode(), wbits=31),',
    ),
    _slip(
        "empty-event",
        "requests-no-empty-identifier",
        "an event's name is looked for, not at",
        "    if not message.event or not message.event.strip():\n",
        "    if message.event is None:\n",
    ),
    _slip(
        "nobody",
        "requests-no-empty-identifier",
        "an event of nobody is the event of null",
        '        raise Reject("missing_user", "send a userId or an anonymousId", "userId")\n',
        "        pass\n",
    ),
    _slip(
        "user-as-text",
        "requests-no-empty-identifier",
        "an absent id is the user None",
        _USER,
        "    user = str(message.user_id)\n",
    ),
    _slip(
        "missing-traits-user",
        "requests-no-empty-identifier",
        "traits of nobody are sent",
        '        raise Reject("missing_user", "traits need a user: send a userId", "userId")\n',
        "        pass\n",
    ),
    _slip(
        "context-page",
        "robustness-context",
        "the page of the context is taken for an object",
        _EVENT,
        _EVENT + '        "url": (message.context.get("page") or {}).get("url"),\n',
    ),
    _slip(
        "context-traits",
        "robustness-context",
        "the address in the traits is taken for an object",
        _TRAITS,
        '    city = (message.traits.get("address") or {}).get("city")\n'
        '    body = {"user": message.user_id, "traits": message.traits, "city": city}\n',
    ),
    _slip(
        "user-agent",
        "robustness-context",
        "the user agent is taken for text",
        _EVENT,
        _EVENT + '        "browser": (message.context.get("userAgent") or "").split("/")[0],\n',
    ),
    _slip(
        "locale",
        "robustness-context",
        "the locale is taken for text",
        _EVENT,
        _EVENT + '        "language": (message.context.get("locale") or "")[:2],\n',
    ),
    _slip(
        "nulls-dropped",
        "notes-nothing-vanishes",
        "null properties vanish",
        '        "properties": message.properties,\n',
        '        "properties": {k: v for k, v in message.properties.items() if v is not None},\n',
    ),
    _slip(
        "falsy-dropped",
        "notes-nothing-missing",
        "falsy traits vanish",
        '"traits": message.traits}\n',
        '"traits": {k: v for k, v in message.traits.items() if v}}\n',
    ),
    _slip(
        "empties-dropped",
        "notes-nothing-missing",
        "empty objects and lists vanish",
        '        "properties": message.properties,\n',
        '        "properties": '
        "{k: v for k, v in message.properties.items() if v not in ({}, [])},\n",
    ),
    _slip(
        "event-replaces-property",
        "notes-nothing-replaced",
        "the event takes the place of the property called event",
        '        "properties": message.properties,\n',
        '        "properties": {**message.properties, "event": message.event},\n',
    ),
    _slip(
        "user-replaces-trait",
        "notes-nothing-missing",
        "the userId takes the place of the trait called id",
        '"traits": message.traits}\n',
        '"traits": {**message.traits, "id": message.user_id}}\n',
    ),
    _slip(
        "time-replaces-property",
        "notes-nothing-replaced",
        "the time takes the place of the property called timestamp",
        '        "properties": message.properties,\n',
        '        "properties": {**message.properties, "timestamp": message.timestamp},\n',
    ),
    _slip(
        "value-in-the-rejection",
        "words-no-personal-value",
        "a rejection quotes who it is about",
        '"traits need a user: send a userId"',
        'f"traits of {message.anonymous_id} need a user: send a userId"',
    ),
    _slip(
        "value-in-the-error",
        "robustness-hostile",
        "an error quotes the properties",
        _USER,
        _USER + "    if len(str(message.properties)) > 5000:\n"
        '        raise ValueError(f"too large: {message.properties}")\n',
    ),
    _slip(
        "value-in-the-price-rejection",
        "words-no-personal-value",
        "a rejection quotes the value it cannot take",
        _USER,
        _USER + '    if isinstance(message.properties.get("price"), str):\n'
        "        said = message.properties['price']\n"
        '        raise Reject("invalid_price", f"{said} is no number", "properties.price")\n',
    ),
    _slip(
        "bad-reason",
        "words-to-act-on",
        "a rejection says nothing",
        _NO_EVENT,
        '        raise Reject("bad", "bad")\n',
    ),
    _slip(
        "reason-without-path",
        "words-to-act-on",
        "a rejection does not name the field",
        _NO_EVENT,
        '        raise Reject("missing_event", "send the name of the event")\n',
    ),
    _slip(
        "reason-is-the-code",
        "words-to-act-on",
        "a rejection repeats its code",
        _NO_EVENT,
        '        raise Reject("missing_event", "missing event", "event")\n',
    ),
    _slip(
        "self-hosted",
        "settings-all-work",
        "a host that the schema takes may be http",
        "    return SETTINGS_SCHEMA\n",
        "    host = {'title': 'Host', 'description': 'Where it is.', 'type': 'string'}\n"
        "    fields = {**SETTINGS_SCHEMA['properties'], 'host': {**host, 'default': API}}\n"
        "    return {**SETTINGS_SCHEMA, 'properties': fields}\n\n\n"
        "from destination_router import Page\n\n\n"
        "@hookimpl\n"
        "def on_page(message: Page, settings: dict[str, Json]) -> list[HttpRequest]:\n"
        "    body = {'id': message.message_id, 'name': message.name, 'user': 'x',\n"
        "            'category': message.category, 'properties': message.properties}\n"
        "    return [HttpRequest(url=settings['host'] + '/pages', json=body)]\n",
    ),
    _slip(
        "mode",
        "settings-all-work",
        "a mode that the schema offers is not known",
        "    return SETTINGS_SCHEMA\n",
        "    mode = {'title': 'Mode', 'description': 'How.', 'enum': ['a', 'b'], 'default': 'a'}\n"
        "    fields = {**SETTINGS_SCHEMA['properties'], 'mode': mode}\n"
        "    return {**SETTINGS_SCHEMA, 'properties': fields}\n\n\n"
        "from destination_router import Group\n\n\n"
        "@hookimpl\n"
        "def on_group(message: Group, settings: dict[str, Json]) -> list[HttpRequest]:\n"
        "    path = {'a': '/groups'}[settings['mode']]\n"
        "    if message.group_id is None:\n"
        "        raise Reject('missing_group', 'send the id of the group', 'groupId')\n"
        "    body = {'group': message.group_id, 'traits': message.traits}\n"
        "    return [HttpRequest(url=API + path, json=body)]\n",
    ),
    _slip(
        "another-origin",
        "origins-named",
        "the origins are another version's",
        "    return [API]\n",
        "    return ['https://v2.my-destination.example']\n",
    ),
    _slip(
        "traits-of-an-event",
        "members-none-unread",
        "the traits of an event are read and not sent",
        _EVENT,
        _EVENT + '        "paying": bool(message.other("traits")),\n',
    ),
    _slip(
        "traits-in-the-context",
        "members-none-unread",
        "the traits in the context are read and not sent",
        _EVENT,
        _EVENT + '        "known": bool(message.context_traits),\n',
    ),
)
