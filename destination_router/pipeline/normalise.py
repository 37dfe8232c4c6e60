"""The first step of the pipeline: wire JSON → a well-formed message, or a rejection.

Wire JSON is decoded directly to a typed message. Only a message that does not fit takes the slow
road, where each field is mended separately and every change leaves a note. A message that cannot be
mended is rejected with a code and the field's path.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.messages import (
    MESSAGE_TYPES,
    AbsentTraits,
    Alias,
    ContextPart,
    Group,
    Identify,
    Message,
    Page,
    Screen,
    Track,
    with_content,
    with_mended,
    with_origin_of,
    with_own_context,
)
from destination_router.contract.records import Json, Note, Reject
from destination_router.contract.times import format_time, is_time, parse_time, read_time
from destination_router.pipeline.decoding import UNDECODABLE, decode_message, decode_messages
from destination_router.pipeline.message_root import Root
from destination_router.pipeline.names import named

_UNFIT = (*UNDECODABLE, Reject)
_SURROGATE = re.compile("[\ud800-\udfff]")

_Mend = Callable[[Json, str, list[Note]], Any]


class Normalised(msgspec.Struct, frozen=True):
    """A message that keeps the contract's promises, with the changes that this took."""

    message: Message
    notes: tuple[Note, ...] = ()


def normalise(raw: bytes, *, message_id: str | None = None, as_sent: bool = False) -> Normalised:
    """Make a well-formed message from its wire JSON.

    Args:
        raw: one message as JSON. Beyond the standard, `NaN` and `Infinity` (Python's `json`
            writes them), lone surrogates (JavaScript can cut a character in two) and bytes that
            are not UTF-8 are read.
        message_id: the id for a message that has no `messageId`. None: it is made from the bytes,
            so that the same bytes always get the same id.
        as_sent: whether to keep a message whose fields have the wrong type. Such a field is empty,
            and `Message.as_sent` returns what its sender wrote.

    Raises:
        Reject: `invalid_json`, `too_deep`, `too_many_digits`, `not_an_object`, `missing_type`,
            `unsupported_type`, or `invalid_type` with the path of the field.
    """
    message = well_formed(raw)
    return mended(raw, message_id, as_sent=as_sent) if message is None else Normalised(message)


def well_formed(raw: bytes) -> Message | None:
    """Decode a well-formed message, as nearly all are; None: it needs `mended`."""
    try:
        message = decode_message(raw)
    except UNDECODABLE:
        return None
    return well_formed_already(message) if raw.isascii() or is_utf8(raw) else None


def well_formed_all(
    raws: Sequence[bytes], roots: Sequence[Root | None] | None = None
) -> list[Message | None]:
    """Do the same as `well_formed` for several messages, one step for all after the other.

    Args:
        raws: the messages.
        roots: as `decode_messages` knows them.
    """
    found: list[Message | None] = []
    for message, raw in zip(decode_messages(raws, roots), raws, strict=True):
        if message is not None and (raw.isascii() or is_utf8(raw)):
            found.append(well_formed_already(message))
        else:
            found.append(None)
    return found


def well_formed_already(message: Message) -> Message | None:
    """Do the same as `well_formed` for a message decoded from UTF-8 that remembers its JSON."""
    try:
        if not _is_normal(message):
            return None
        if type(message) is Track:  # as most are, which have no other id
            return message
        return _finished(message) if _has_normal_other_id(message) else None
    except _UNFIT:
        return None


def parse_message(content: bytes | str | Mapping[str, Json]) -> Message:
    """Make a message from JSON, or from the mapping that its JSON stands for.

    Raises:
        Reject: as `normalise`.
    """
    if isinstance(content, Mapping):
        content = _encoded(content)
    elif isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")  # half a character, as JSON does
    return normalise(content).message


def decode_json(raw: bytes) -> tuple[Json, list[Note]]:
    """Decode JSON, and the variants of it that real senders write.

    Returns:
        The value, and a note for each thing that had to be replaced.

    Raises:
        Reject: `invalid_json`, `too_deep`, or `too_many_digits`, which is still JSON.
    """
    notes: list[Note] = []
    try:
        return msgspec.json.decode(raw), notes
    except UNDECODABLE:
        pass
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace")
        notes.append(Note("converted", "", "bytes that are not UTF-8 were replaced"))
    try:
        value = json.loads(text)
        mended = without_surrogates(value)
    except RecursionError:
        raise Reject("too_deep", "send less deeply nested JSON") from None
    except json.JSONDecodeError as error:
        raise Reject("invalid_json", f"{error.msg} at character {error.pos + 1}") from None
    except ValueError:
        raise Reject("too_many_digits", "send numbers of at most 4300 digits") from None
    if mended is not value:
        notes.append(Note("converted", "", "halves of a character were replaced"))
    return mended, notes


def _encoded(content: Mapping[str, Json]) -> bytes:
    try:
        try:
            return msgspec.json.encode(dict(content))
        except UnicodeEncodeError:  # half a character: the standard library escapes it
            return json.dumps(dict(content)).encode()
    except RecursionError:
        raise Reject("too_deep", "send less deeply nested JSON") from None
    except (TypeError, ValueError) as error:
        raise Reject("invalid_json", f"it cannot be written as JSON: {error}") from None


# -- the fast road ------------------------------------------------------------------------------


def is_utf8(raw: bytes) -> bool:
    """Whether the parts that a decoder skips are also text: a context is decoded later or never."""
    try:
        return raw.isascii() or bool(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _is_normal(message: Message) -> bool:
    # Written out, since every message comes here: a loop over the ids takes half as long again.
    message_id, user_id = message.message_id, message.user_id
    anonymous_id = message.anonymous_id
    if (
        not message_id
        or message_id.strip() != message_id
        or (user_id is not None and (not user_id or user_id.strip() != user_id))
        or (anonymous_id is not None and (not anonymous_id or anonymous_id.strip() != anonymous_id))
    ):
        return False
    time, original_time = message.timestamp, message.original_timestamp
    return (time is None or is_time(time)) and (original_time is None or is_time(original_time))


def _has_normal_other_id(message: Message) -> bool:
    # By the type itself: `isinstance` asks the class of a struct, which takes ten times as long.
    if type(message) is Group:
        other_id = message.group_id
    else:
        other_id = message.previous_id if type(message) is Alias else None
    return other_id is None or (bool(other_id) and other_id.strip() == other_id)


def _finished(message: Message) -> Message:
    """Let an identify without `traits` fall back to `context.traits`; name a page or screen."""
    if type(message) is Page or type(message) is Screen:
        return named(message)
    if type(message) is not Identify or type(message.traits) is not AbsentTraits:
        return message
    traits = message.context_part.traits
    if not traits:
        return message
    fallen_back = with_origin_of(msgspec.structs.replace(message, traits=traits), message)
    return with_mended(fallen_back, {"traits": (None, traits)})


# -- the slow road ------------------------------------------------------------------------------


def mended(raw: bytes, message_id: str | None, *, as_sent: bool = False) -> Normalised:
    """Do the same as `normalise` for a message that is not `well_formed`."""
    content, notes = decode_json(raw)
    if not isinstance(content, dict):
        raise Reject("not_an_object", f"a message is a JSON object, not {_kind(content)}")
    kind = _message_type(content)
    fields: dict[str, Any] = {}
    changed: dict[str, tuple[Any, Any]] = {}
    if content["type"] != kind:
        changed["type"] = (content["type"], kind)
    for name, (field, mend) in {**_COMMON_FIELDS, **_FIELDS[kind]}.items():
        if name in content:
            fields[field] = (_or_empty(mend) if as_sent else mend)(content[name], name, notes)
            if fields[field] is not content[name]:
                changed[name] = (content[name], fields[field])
    given = content.get("context")
    if as_sent:
        given = _context_as_sent(given, changed)
    context = _mend_context(given, notes)
    if kind == "identify" and content.get("traits") is None:
        fields["traits"] = context.get("traits") or {}
        changed["traits"] = (None, fields["traits"])
    fields["message_id"] = fields.get("message_id") or message_id or _id_from(raw)
    fields["context_part"] = ContextPart(context.get("traits"))
    message = with_content(MESSAGE_TYPES[kind](**fields), content)
    message = with_mended(with_own_context(message, context), changed)
    if isinstance(message, (Page, Screen)):
        message = named(message)
    return Normalised(message, tuple(notes))


def _message_type(content: dict[str, Json]) -> str:
    kind = content.get("type")
    name = kind.strip().lower() if isinstance(kind, str) else None
    if kind is None or name == "":
        raise Reject("missing_type", f"say which call it is: {', '.join(MESSAGE_TYPES)}", "type")
    if name not in MESSAGE_TYPES:
        raise Reject("unsupported_type", f"must be one of {', '.join(MESSAGE_TYPES)}", "type")
    return name


def _id_from(raw: bytes) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256(raw).digest()[:16], version=4))


def _mend_id(value: Json, path: str, notes: list[Note]) -> str | None:
    text = _mend_text(value, path, notes)
    if text is None:
        return None
    trimmed = text.strip()
    if trimmed != text and trimmed:
        notes.append(Note("converted", path, "blanks around it were removed"))
    return trimmed or None


def _mend_text(value: Json, path: str, notes: list[Note]) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        notes.append(Note("dropped", path, "it is not a finite number"))
        return None
    if isinstance(value, (bool, int, float)):
        notes.append(Note("converted", path, f"{_kind(value)} became text"))
        return number_text(value)
    raise Reject("invalid_type", f"must be text or a number, not {_kind(value)}", path)


def number_text(value: float) -> str:
    """Write a finite number or a boolean as the text of an identifier."""
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    return json.dumps(int(value) if value.is_integer() else value)


def _mend_loose_text(value: Json, path: str, notes: list[Note]) -> str | None:
    """Mend a text that no destination depends on: any other value is left out."""
    if value is None or isinstance(value, str):
        return value
    notes.append(Note("dropped", path, f"must be text, not {_kind(value)}"))
    return None


def _mend_time(value: Json, path: str, notes: list[Note]) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and parse_time(value) is not None:
        return value
    moment = read_time(value)
    if moment is not None:
        notes.append(Note("converted", path, "a number was read as time since 1970"))
        return format_time(moment)
    notes.append(Note("invalid_timestamp", path, "it is not an ISO 8601 time"))
    return None


def _mend_object(value: Json, path: str, notes: list[Note]) -> dict[str, Json]:
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    if value == []:  # PHP writes this for an empty object
        notes.append(Note("converted", path, "an empty list became an empty object"))
        return {}
    raise Reject("invalid_type", f"must be an object, not {_kind(value)}", path)


def _or_empty(mend: _Mend) -> _Mend:
    """Make a value empty if it cannot be mended. A plugin can still read it with `as_sent`."""

    def mended(value: Json, path: str, notes: list[Note]) -> Any:
        try:
            return mend(value, path, notes)
        except Reject:
            return {} if mend is _mend_object else None

    return mended


def _context_as_sent(value: Json, changed: dict[str, tuple[Any, Any]]) -> dict[str, Json]:
    """Make a context without the parts that should be objects, and remember such traits."""
    if not isinstance(value, dict):
        return {}
    traits = value.get("traits")
    if traits is None or isinstance(traits, dict):
        return value
    changed["context.traits"] = (traits, {})
    return {name: item for name, item in value.items() if name != "traits"}


def _mend_integrations(value: Json, path: str, notes: list[Note]) -> dict[str, Json]:
    # rudder-server keeps a message with an empty list or null from every destination. This does
    # not: PHP writes a list for an empty map, and many serialisers write null for nothing.
    if isinstance(value, dict) or value is None or value == []:
        return _mend_object(value, path, notes)
    notes.append(Note("converted", path, f"{_kind(value)} was read as All: false"))
    return {"All": False}


def _mend_context(value: Json, notes: list[Note]) -> dict[str, Json]:
    context = _mend_object(value, "context", notes)
    traits = context.get("traits")
    if traits is None or isinstance(traits, dict):
        return context
    if traits != []:
        notes.append(Note("dropped", "context.traits", f"must be an object, not {_kind(traits)}"))
    return {name: item for name, item in context.items() if name != "traits"}


def kind_of(value: Json) -> str:
    """Return the name of a value's JSON type, for texts that must not show the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


_kind = kind_of  # short, for the sentences above


def without_surrogates(value: Json) -> Json:
    """Replace halves of a character, which UTF-8 cannot carry. Other values stay as they are."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value) if _has_halves(value) else value
    if isinstance(value, list):
        items = [without_surrogates(item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        pairs = {without_surrogates(k): without_surrogates(v) for k, v in value.items()}
        return value if all(value.get(k, pairs) is v for k, v in pairs.items()) else pairs
    return value


def _has_halves(text: str) -> bool:
    return _SURROGATE.search(text) is not None


_COMMON_FIELDS: dict[str, tuple[str, _Mend]] = {
    "messageId": ("message_id", _mend_id),
    "userId": ("user_id", _mend_id),
    "anonymousId": ("anonymous_id", _mend_id),
    "timestamp": ("timestamp", _mend_time),
    "originalTimestamp": ("original_timestamp", _mend_time),
    "sentAt": ("sent_at", _mend_loose_text),
    "receivedAt": ("received_at", _mend_loose_text),
    "channel": ("channel", _mend_loose_text),
    "integrations": ("integrations", _mend_integrations),
}

_PAGE_FIELDS: dict[str, tuple[str, _Mend]] = {
    "name": ("name", _mend_text),
    "category": ("category", _mend_text),
    "properties": ("properties", _mend_object),
}

_FIELDS: dict[str, dict[str, tuple[str, _Mend]]] = {
    "identify": {"traits": ("traits", _mend_object)},
    "track": {"event": ("event", _mend_text), "properties": ("properties", _mend_object)},
    "page": _PAGE_FIELDS,
    "screen": _PAGE_FIELDS,
    "group": {"groupId": ("group_id", _mend_id), "traits": ("traits", _mend_object)},
    "alias": {"previousId": ("previous_id", _mend_id)},
}


def mend_part(kind: str, part: str, value: Json, path: str, notes: list[Note]) -> dict[str, Any]:
    """Make a value well-formed for the part of a message that will hold it.

    Args:
        kind: the call: `track`.
        part: the part's name on the wire: `userId`.
        value: any JSON value.
        path: where it comes from, for notes and rejections.
        notes: the list that new notes are added to.

    Returns:
        The struct's field and its value; empty if the call has no such part.

    Raises:
        Reject: `invalid_type`.
    """
    found = _COMMON_FIELDS.get(part) or _FIELDS[kind].get(part)
    return {} if found is None else {found[0]: found[1](value, path, notes)}


MENDS: dict[str, _Mend] = {"string": _mend_id, "object": _mend_object, "datetime": _mend_time}
"""How a value is made well-formed by its type, if no part of a message says how."""
