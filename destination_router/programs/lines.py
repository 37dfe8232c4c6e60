"""The protocol: writes lines to a program, and reads its answers. Pure.

`conformance/schema/subject.v1.json` describes each line for authors, and tests compare this module
with it. Names are spelt as in JSON (`messageIds`). Numbers stay as they are: integers of any
length, and `1.0` beside `1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from destination_router.contract.messages import Identify, Message, forget_what_was_asked
from destination_router.contract.records import (
    BasicAuth,
    BearerAuth,
    Cost,
    Field,
    HttpRequest,
    HttpResponse,
    Ignored,
    Imported,
    Json,
    Note,
    Outcome,
    Pairing,
    Quota,
    Reject,
)

VERSION = 1
"""The version of the protocol."""

T = TypeVar("T")

_BAGS = ("properties", "traits", "context", "integrations")
_PLACE = re.compile(r"[\w.$<>-]{1,60}")
_encode = msgspec.json.Encoder().encode


class LineError(Exception):
    """A line, or a part of one, breaks the protocol. The text says how."""

    @property
    def place(self) -> str:
        """As what is told of any other failure of a plugin."""
        return f"the program's answer does not fit: {self}"


class HookError(Exception):
    """A hook of the program failed. Show `place`, but not the text, which may be personal.

    Attributes:
        place: the kind of failure and where in the program: `TypeError at mapping.mjs:12`.
    """

    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place = place


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A program's report of a failed hook."""

    detail: str
    type: str = ""
    at: str = ""

    @property
    def error(self) -> HookError:
        """Make an exception of it. Leave out a type or place that does not look like one."""
        kind = self.type if _PLACE.fullmatch(self.type) else "an error"
        name, _, line = self.at.rpartition(":")
        told = line.isdecimal() and len(line) < 8 and _PLACE.fullmatch(name)  # noqa: PLR2004
        return HookError(f"{kind} at {self.at}" if told else kind, self.detail)


class _Record(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The base of the records of an answer. It says how JSON spells their fields."""


class _Request(_Record, frozen=True, kw_only=True, omit_defaults=True):
    url: str
    method: str = "POST"
    params: dict[str, str | tuple[str, ...]] = {}
    headers: dict[str, str] = {}
    json: Json = None
    form: dict[str, str] | None = None
    auth: BasicAuth | BearerAuth | None = None
    message_ids: tuple[str, ...] = ()
    user_key: str | None = None
    notes: tuple[Note, ...] = ()
    state_key: str | None = None
    items: tuple[tuple[str, ...], ...] = ()
    costs: tuple[Cost, ...] | None = None
    bulk_costs: tuple[Cost, ...] | None = None
    pairings: tuple[Pairing, ...] = ()
    identity: str | None = None
    content: bytes | None = None
    content_type: str = ""
    gzip: bool = False


class _Outcome(_Record, frozen=True, kw_only=True):
    result: str
    code: str = ""
    detail: str = ""
    after: float | None = None
    unless_proven: bool = False


class _Refusal(_Record, frozen=True, kw_only=True):
    code: str
    detail: str
    path: str = ""


class _Ignored(_Record, frozen=True, kw_only=True):
    reason: str = ""
    notes: tuple[Note, ...] = ()


class _Made(_Record, frozen=True, kw_only=True):
    """A hook's result for one message: one of these."""

    requests: list[_Request] | UnsetType = UNSET
    reject: _Refusal | UnsetType = UNSET
    ignored: _Ignored | UnsetType = UNSET
    error: Fault | UnsetType = UNSET


class Hello(_Record, frozen=True, kw_only=True):
    """A program's introduction.

    Attributes:
        protocol: the version that it speaks.
        name: what it is called, and what senders may call it in `integrations`.
        version: its own.
        hooks: those that it has.
        reads: the fields beyond those that a call defines that it reads; the host notes the others
            as dropped. None: it notes them itself.
    """

    protocol: int
    name: str
    version: str
    hooks: tuple[str, ...]
    reads: tuple[str, ...] | None = None


class Reply(_Record, frozen=True, kw_only=True):
    """The envelope of an answer: its number, and one of the others.

    Attributes:
        id: the number of the line that it answers.
        value: what the hook gave back.
        invalid: why settings cannot be used; of `configure`, `import_settings`, `settings_from`.
        error: the hook failed.
    """

    id: int
    value: Raw | UnsetType = UNSET
    invalid: str | UnsetType = UNSET
    error: Fault | UnsetType = UNSET


# -- lines to a program --------------------------------------------------------------------------


def call_line(number: int, call: str, arguments: Mapping[str, Json]) -> bytes:
    """Write a line that asks for a call."""
    return _encode({"id": number, "call": call, **arguments}) + b"\n"


def message_json(message: Message, reads: Sequence[str] | None) -> Raw:
    """Write a message for a program: its fields, and any further fields of a mapping.

    Raises:
        Reject: as `Message.context`.
    """
    whole = message.to_dict()
    for name in _BAGS:
        if name not in whole and hasattr(message, name):
            whole[name] = {}
    if isinstance(message, Identify):
        whole["traits"] = dict(message.traits)
    if reads is not None:
        forget_what_was_asked(message)
        for name in reads:
            _ = message.context_traits if name == "context.traits" else message.other(name)
    mapped = message.mapped
    return Raw(_encode({"message": whole, "mapped": mapped} if mapped else {"message": whole}))


def requests_json(requests: Sequence[HttpRequest]) -> Raw:
    """Write requests, for `pack`."""
    return Raw(_encode([_spelt(request) for request in requests]))


def answer_json(request: HttpRequest, response: HttpResponse) -> dict[str, Json]:
    """Write a request and what the vendor answered, for `on_response`; the body as text."""
    told = {"status": response.status, "headers": dict(response.headers), "body": response.text}
    return {"request": _spelt(request), "response": told}


def _spelt(request: HttpRequest) -> _Request:
    fields = msgspec.structs.asdict(request)
    return _Request(**{**fields, "params": dict(request.params), "headers": dict(request.headers)})


# -- answers of a program ------------------------------------------------------------------------


def reply_of(line: bytes, number: int) -> Reply:
    """Read the envelope of an answer.

    Raises:
        LineError: it is none, or answers another line.
    """
    try:
        reply = _decode_reply(line)
    except msgspec.ValidationError as error:
        raise LineError(f"a line does not fit: {error}") from None
    except (ValueError, RecursionError):
        raise LineError(
            "a line is not JSON: standard output holds answers alone, so write all else to "
            "standard error"
        ) from None
    if reply.id != number:
        raise LineError(f"line {number} was asked and line {reply.id} answered")
    said = [part for part in (reply.value, reply.invalid, reply.error) if part is not UNSET]
    if len(said) != 1:
        raise LineError("an answer has one of value, invalid and error")
    return reply


def hello_of(value: Raw) -> Hello:
    """Read a program's introduction.

    Raises:
        LineError: it does not fit, or the protocol is another one.
    """
    hello = _converted(_decode_hello, value, "hello")
    if hello.protocol != VERSION:
        raise LineError(f"it speaks version {hello.protocol} of the protocol, and this is 1")
    if not hello.name.strip() or hello.name != hello.name.strip():
        raise LineError("hello: name is blank, or has blanks around it")
    return hello


def made_of(value: Raw) -> list[HttpRequest] | Ignored:
    """Read a hook's result for one message.

    Raises:
        Reject: the hook refused the message.
        HookError: the hook failed.
        LineError: it does not fit.
    """
    made = _converted(_decode_made, value, "an answer to a message")
    said = [name for name in made.__struct_fields__ if getattr(made, name) is not UNSET]
    if len(said) != 1:
        raise LineError("what is made of a message is one of requests, reject, ignored and error")
    if isinstance(made.error, Fault):
        raise made.error.error
    if isinstance(made.reject, _Refusal):
        raise Reject(made.reject.code, made.reject.detail, made.reject.path)
    if isinstance(made.ignored, _Ignored):
        ignored = made.ignored
        return Ignored(ignored.reason, ignored.notes) if ignored.reason or ignored.notes else []
    if made.requests is UNSET:
        return []
    return [_request(each) for each in made.requests]


def values_of(value: Raw, count: int) -> list[Raw]:
    """Split the answers to several messages.

    Raises:
        LineError: there are not as many as messages.
    """
    values = _converted(_decode_list, value, "map")
    if len(values) != count:
        raise LineError(f"map: {count} messages and {len(values)} answers")
    return values


def requests_of(value: Raw) -> list[HttpRequest]:
    """Read the result of `pack`.

    Raises:
        LineError: it does not fit.
    """
    return [_request(each) for each in _converted(_decode_requests, value, "pack")]


def outcome_of(value: Raw) -> Outcome | dict[str, Outcome]:
    """Read the result of `on_response`: one outcome, or one for each message id.

    Raises:
        LineError: it does not fit.
    """
    told: dict[str, Any] = _converted(_decode_object, value, "on_response")
    if isinstance(told.get("result"), str):
        return _outcome(told)
    return {message_id: _outcome(each) for message_id, each in told.items()}


def plain_of(hook: str, value: Raw) -> Any:
    """Read the result of a hook that depends only on the settings.

    Raises:
        LineError: it does not fit.
    """
    return _converted(_PLAIN[hook], value, hook)


def _request(made: _Request) -> HttpRequest:
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    try:
        return HttpRequest(**fields)
    except ValueError as error:
        raise LineError(str(error)) from None


def _outcome(told: Json) -> Outcome:
    try:
        made = msgspec.convert(told, _Outcome)
        fields = {name: getattr(made, name) for name in made.__struct_fields__}
        return msgspec.convert(fields, Outcome)
    except msgspec.ValidationError as error:
        raise LineError(f"on_response: {error}") from None


def _converted(decode: Callable[[Raw], T], value: Raw, what: str) -> T:
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise LineError(f"{what}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise LineError(f"{what}: {type(error).__name__}") from None


_decode_reply = msgspec.json.Decoder(Reply).decode
_decode_hello = msgspec.json.Decoder(Hello).decode
_decode_made = msgspec.json.Decoder(_Made).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_requests = msgspec.json.Decoder(list[_Request]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode

_PLAIN: dict[str, Callable[[Raw], Any]] = {
    "settings_schema": _decode_object,
    "display_names": _decode_texts,
    "more_display_names": _decode_texts,
    "default_subscription": msgspec.json.Decoder(str).decode,
    "fields": msgspec.json.Decoder(dict[str, list[Field]]).decode,
    "configure": msgspec.json.Decoder(Any).decode,
    "quotas": msgspec.json.Decoder(list[Quota]).decode,
    "window": msgspec.json.Decoder(int).decode,
    "origins": _decode_texts,
    "cautions": _decode_texts,
    "client_side": _decode_object,
    "import_settings": msgspec.json.Decoder(Imported).decode,
    "settings_from": _decode_object,
}
