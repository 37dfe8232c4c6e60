"""The operations of transformations. Each compiles its configuration to a function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from destination_router.contract.messages import (
    MESSAGE_TYPES,
    Message,
    Page,
    Screen,
    Track,
    revised,
)
from destination_router.contract.records import Json, Note, Reject
from destination_router.faults import plain_code
from destination_router.pipeline.globs import compile_globs
from destination_router.pipeline.normalise import normalise, number_text
from destination_router.pipeline.paths import UNDEFINED, of_message
from destination_router.pipeline.privacy.masking import MaskingKeys
from destination_router.pipeline.transformations.conversions import CONVERSIONS
from destination_router.pipeline.transformations.edits import EACH, key_renamed
from destination_router.pipeline.transformations.parts import (
    Place,
    changed,
    parse_place,
    set_at,
    value_at,
)
from destination_router.plugins.code_transformations import TransformMessage, load_transformation

Apply: TypeAlias = Callable[[Message, list[Note]], Message]
"""Takes a message and returns another. Adds notes. May raise `Dropped`."""

_TYPES = tuple(MESSAGE_TYPES.values())


class Dropped(Exception):  # noqa: N818 -- no error: what the configuration asks for
    """The message ends here. The text says why."""


class Surroundings(msgspec.Struct, frozen=True):
    """What an operation may need of its connection.

    Attributes:
        connection: its name, for code.
        keys: the masking keys, for `hash`; None if it has none.
        private: whether it is in HIPAA mode, in which code is not quoted.
        load: finds a transformation in code by its name.
    """

    connection: str = ""
    keys: MaskingKeys | None = None
    private: bool = False
    load: Callable[[str], TransformMessage] = load_transformation


# -- events -------------------------------------------------------------------------------------


def _rename_event(value: Json, _: Surroundings) -> Apply:
    names = _pairs(value)

    def apply(message: Message, notes: list[Note]) -> Message:
        new = names.get(message.event or "") if isinstance(message, Track) else None
        if new is None:
            return message
        notes.append(Note("renamed", "event", "it has another name from here on"))
        return set_at(message, Place("event", "event", ()), new, notes)

    return apply


def _drop_events(value: Json, _: Surroundings) -> Apply:
    matches = compile_globs(_texts(value))

    def apply(message: Message, _notes: list[Note]) -> Message:
        name = _event_name(message)
        if name is not None and matches(name):
            raise Dropped("the event is one of those to drop")
        return message

    return apply


def _keep_events(value: Json, _: Surroundings) -> Apply:
    matches = compile_globs(_texts(value))

    def apply(message: Message, _notes: list[Note]) -> Message:
        name = _event_name(message)
        if name is not None and not matches(name):
            raise Dropped("the event is not one of those to keep")
        return message

    return apply


def _event_name(message: Message) -> str | None:
    """Get a track's event or a page's or screen's name; None for other calls."""
    if isinstance(message, Track):
        return message.event or ""
    return message.name or "" if isinstance(message, (Page, Screen)) else None


# -- properties and traits ----------------------------------------------------------------------


def _rename(value: Json, _: Surroundings) -> Apply:
    renamings = [_renaming(path, new) for path, new in _pairs(value).items()]

    def apply(message: Message, notes: list[Note]) -> Message:
        for old, parent, key, new in renamings:
            before = message
            lost: list[bool] = []
            rename = partial(key_renamed, old=key, new=new, lost=lost)
            message = changed(message, parent, rename, notes)
            if message is not before:
                notes.append(Note("renamed", old.text, f"it is called {new}"))
            if lost:
                path = f"{old.text.removesuffix(key)}{new}"
                notes.append(Note("dropped", path, f"{key} has its name now"))
        return message

    return apply


def _renaming(path: str, new: str) -> tuple[Place, Place, str, str]:
    old = parse_place(path)
    if not old.keys or old.keys[-1] == EACH:
        raise ValueError(f"{path}: name a property or trait; for an event there is rename_event")
    return old, Place(old.text, old.part, old.keys[:-1]), old.keys[-1], new


def _copy(value: Json, _: Surroundings, *, moved: bool = False) -> Apply:
    ways = [(_single(old), _single(new)) for old, new in _pairs(value).items()]

    def apply(message: Message, notes: list[Note]) -> Message:
        for source, target in ways:
            found = value_at(message, source)
            if found is UNDEFINED:
                continue
            if moved:
                message = changed(message, source, _gone, notes)
            message = set_at(message, target, found, notes)
            verb = "moved" if moved else "copied"
            notes.append(
                Note("renamed" if moved else verb, source.text, f"{verb} to {target.text}")
            )
        return message

    return apply


def _delete(value: Json, _: Surroundings) -> Apply:
    return _each_place(_texts(value), _gone, "dropped", "the connection deletes it")


def _gone(_: Any) -> Any:
    return UNDEFINED


def _convert(value: Json, _: Surroundings) -> Apply:
    wanted = [(parse_place(path), name) for path, name in _pairs(value).items()]
    if unknown := sorted({name for _, name in wanted} - CONVERSIONS.keys()):
        raise ValueError(f"no type is called {unknown[0]}; known: {', '.join(CONVERSIONS)}")

    def apply(message: Message, notes: list[Note]) -> Message:
        for place, name in wanted:
            left: list[bool] = []
            before = message
            message = changed(message, place, partial(_converted, name=name, left=left), notes)
            if message is not before:
                notes.append(Note("converted", place.text, f"it became {name}"))
            if left:
                notes.append(Note("unconverted", place.text, f"it is no {name}; it stays as it is"))
        return message

    return apply


def _converted(value: Any, name: str, left: list[bool]) -> Any:
    new = CONVERSIONS[name](value)
    if new is UNDEFINED:
        left.append(True)
        return value
    return value if type(new) is type(value) and new == value else new


def _text_operation(function: Callable[[str], str], value: Json, _: Surroundings) -> Apply:
    def change(found: Any) -> Any:
        new = function(found) if isinstance(found, str) else found
        return found if new == found else new

    return _each_place(_texts(value), change, "converted", f"it was put in {function.__name__}")


def _constant(value: Json, _: Surroundings) -> Apply:
    if not isinstance(value, Mapping) or not value:
        raise ValueError('write { "properties.plan" = "free" }')
    values = [(_single(path), item) for path, item in value.items()]

    def apply(message: Message, notes: list[Note]) -> Message:
        for place, item in values:
            message = _set(message, place, item, notes)
        return message

    return apply


def _builtin(value: Json, _: Surroundings) -> Apply:
    ways = [(_single(path), _builtin_reader(name)) for path, name in _pairs(value).items()]

    def apply(message: Message, notes: list[Note]) -> Message:
        for place, read in ways:
            found = read(message)
            if found is UNDEFINED or found is None:
                notes.append(Note("dropped", place.text, "the message has no such value"))
            else:
                message = _set(message, place, found, notes)
        return message

    return apply


_BUILTINS = ("timestamp", "originalTimestamp", "sentAt", "receivedAt", "messageId", "channel")


def _builtin_reader(name: str) -> Callable[[Message], Any]:
    if name not in _BUILTINS and not name.startswith("context."):
        raise ValueError(f"{name}: known: {', '.join(_BUILTINS)}, and context.<name>")
    return of_message(name)


def _set(message: Message, place: Place, value: Any, notes: list[Note]) -> Message:
    before = message
    message = set_at(message, place, value, notes)
    if message is not before:
        notes.append(Note("set", place.text, "the connection sets it"))
    return message


# -- people -------------------------------------------------------------------------------------


def _hash(value: Json, surroundings: Surroundings) -> Apply:
    keys = surroundings.keys
    if keys is None:
        raise ValueError('needs a key: [privacy.keys] v1 = {env = "MASKING_KEY_1"}')
    return _each_place(_texts(value), partial(_hidden, keys.mask), "hashed", "with a key")


def _mask(value: Json, _: Surroundings) -> Apply:
    if not isinstance(value, Mapping) or not value:
        raise ValueError('write { "traits.phone" = 4 }: how many characters at the end stay')
    steps = []
    for path, kept in value.items():
        if not isinstance(kept, int) or isinstance(kept, bool) or kept < 0:
            raise ValueError(f"{path}: write how many characters at the end stay: 4")
        change = partial(_hidden, partial(_starred, kept))
        steps.append(_each_place([path], change, "masked", f"all but the last {kept} characters"))

    def apply(message: Message, notes: list[Note]) -> Message:
        for step in steps:
            message = step(message, notes)
        return message

    return apply


def _starred(kept: int, text: str) -> str:
    """Replace a text except its end. Replace a short text completely."""
    end = text[len(text) - kept :] if kept and len(text) > kept else ""
    return "*" * (len(text) - len(end)) + end


def _hidden(hide: Callable[[str], str], value: Any) -> Any:
    """Hide a text or a number. Remove any other value."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (str, int, float)):
        return hide(value if isinstance(value, str) else number_text(value))
    if isinstance(value, list):
        items = [_hidden(hide, item) for item in value]
        return [item for item in items if item is not UNDEFINED]
    return UNDEFINED


def _sample(value: Json, _: Surroundings) -> Apply:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError("write a share from 0 to 1, such as 0.1")

    def apply(message: Message, _notes: list[Note]) -> Message:
        key = message.user_keys[0].encode("utf-8", "surrogatepass")
        place = int.from_bytes(hashlib.sha256(key).digest()[:8]) / 2**64
        if place >= value:
            raise Dropped("its user is not in the sample")
        return message

    return apply


# -- code ---------------------------------------------------------------------------------------


def _code(value: Json, surroundings: Surroundings) -> Apply:
    if not isinstance(value, str) or not value:
        raise ValueError("write the name of an installed transformation")
    transform = surroundings.load(value)

    def apply(message: Message, notes: list[Note]) -> Message:
        try:
            found = transform(message, surroundings.connection)
        except Reject as reject:
            if not surroundings.private:
                raise
            raise Reject(plain_code(reject.code), f"{value} refuses it") from None
        if found is message:
            return message
        if found is None:
            raise Dropped(f"{value} dropped it")
        if not isinstance(found, _TYPES):
            raise TypeError(type(found).__name__)
        notes.append(Note("transformed", "", f"{value} gave another message"))
        # What came out of code keeps no promise yet; what it was made of is not looked at again.
        normalised = normalise(msgspec.json.encode(found))
        notes.extend(normalised.notes)
        return revised(normalised.message, message_id=message.message_id)

    return apply


# -- configuration ------------------------------------------------------------------------------


def _each_place(
    paths: Iterable[str], change: Callable[[Any], Any], code: str, detail: str
) -> Apply:
    places = [parse_place(path) for path in paths]

    def apply(message: Message, notes: list[Note]) -> Message:
        for place in places:
            before = message
            message = changed(message, place, change, notes)
            if message is not before:
                notes.append(Note(code, place.text, detail))
        return message

    return apply


def _single(path: str) -> Place:
    place = parse_place(path)
    if EACH in place.keys:
        raise ValueError(f"{path}: name one place, without {EACH}")
    return place


def _texts(value: Json) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError("write a list of text")
    return value


def _pairs(value: Json) -> dict[str, str]:
    texts = isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())
    if not texts or not value:
        raise ValueError("write a table of text: { from = to }")
    return dict(value)


OPERATIONS: dict[str, Callable[[Any, Surroundings], Apply]] = {
    "rename_event": _rename_event,
    "drop_events": _drop_events,
    "keep_events": _keep_events,
    "rename": _rename,
    "copy": _copy,
    "move": partial(_copy, moved=True),
    "delete": _delete,
    "convert": _convert,
    "upper": partial(_text_operation, str.upper),
    "lower": partial(_text_operation, str.lower),
    "trim": partial(_text_operation, str.strip),
    "constant": _constant,
    "builtin": _builtin,
    "hash": _hash,
    "mask": _mask,
    "sample": _sample,
    "code": _code,
}
"""Operations by name. Each raises ValueError with words for the author of the configuration."""
