"""Checks the answer of a plugin's hook: it is requests that can be sent, or the text says why not.

The checks find what HTTP cannot carry before anything is sent. RFC 9110: methods and header names
are tokens (5.6.2, 9.1). A header's value is visible characters with blanks and tabs between them
(5.5), here only ASCII, which every vendor reads the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict

from destination_router.contract.records import (
    BasicAuth,
    BearerAuth,
    Cost,
    HttpRequest,
    Ignored,
    Note,
    Pairing,
    Quota,
)
from destination_router.faults import PASSED_ON

_NONE: tuple[Any, ...] = ()  # Python has only one

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
_URL = re.compile(
    r"https?://[^\x00-\x20\x7f/?#\\\ud800-\udfff]+([/?#][^\x00-\x20\x7f\ud800-\udfff]*)?"
)

_POST = HttpRequest(url="").method
"""The method that a request has unless its plugin says otherwise."""
_fine_urls: set[str] = set()
_MOST_URLS = 1024

_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into


class UnfitAnswer(Exception):  # noqa: N818 -- it is the answer that errs
    """Says what is wrong with an answer, as the words after the hook's name."""


def contents(requests: object) -> list[bytes]:
    """Check the parts of a hook's answer that HTTP would carry.

    Returns:
        The `content` of each request.

    Raises:
        UnfitAnswer: it is not a list of requests, or one of them cannot be sent.
    """
    if requests is None:
        raise UnfitAnswer(
            "returned None; return Ignored(reason) to ignore a message, or raise Reject"
        )
    if not isinstance(requests, list):
        kind = type(requests).__name__
        raise UnfitAnswer(f"returned {kind}; return a list of HttpRequest")
    return [checked_content(request) for request in requests]


def passes_at_a_glance(request: object, room: bytearray) -> bool:
    """Check a request as `contents` and `check_records` do, in one look, which most pass.

    Args:
        request: an item of a hook's answer.
        room: where its body is written to see that it is JSON; what is in it is lost.

    Returns:
        Whether it passes. If not, a closer look has to tell what is wrong with it, if anything.
    """
    if type(request) is not HttpRequest:
        return False
    sent: HttpRequest = request
    url, params, headers = sent.url, sent.params, sent.headers
    if (
        type(url) is not str
        or sent.method is not _POST
        or type(params) is not dict
        or params
        or type(headers) is not dict
        or headers
        or sent.form is not None
        or sent.auth is not None
        or sent.content is not None
        or sent.gzip is not False
        or not _has_plain_records(sent)
        or (url not in _fine_urls and _wrong_url(url) is not None)
    ):
        return False
    try:
        _encode_into(sent.json, room)  # a text of its own would take a quarter more
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def content(request: HttpRequest) -> bytes:
    """Write a request's content as JSON: its form, if it has one, otherwise its JSON body."""
    return _encode(request.json if request.form is None else request.form)


def unsendable(method: str, url: str, headers: Mapping[str, str]) -> str | None:
    """Say what HTTP cannot carry in a request, without any value; None if it can carry all."""
    if not _TOKEN.fullmatch(method):
        return "has a method that is none"
    if url not in _fine_urls and (problem := _wrong_url(url)):
        return problem
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            return "has a header whose name is no token of RFC 9110"
        if not _VALUE.fullmatch(value):
            return f"has a header {name} whose value is not visible ASCII without line ends"
    return None


def check_ignored(ignored: Ignored) -> None:
    """Check a hook's answer for a message that it ignores.

    Raises:
        UnfitAnswer: it gives no reason, or its notes are not notes.
    """
    if problem := _misfit(ignored, Ignored):
        raise UnfitAnswer(f"returned an Ignored that does not fit: {problem}")
    _refuse_look_alikes("an Ignored", {"notes": ignored.notes})
    if not ignored.reason.strip():
        raise UnfitAnswer("returned an Ignored without a reason; say why in a sentence")


def wrong_quotas(declared: object) -> str | None:
    """Say what is wrong with an answer of the hook `quotas`; None if nothing is."""
    if not isinstance(declared, (list, tuple)):
        return f"returned {type(declared).__name__}; return a list of Quota"
    for quota in declared:
        if not isinstance(quota, Quota):
            return f"returned a list that holds {type(quota).__name__}, not Quota"
        if problem := _misfit(quota, Quota):
            return f"returned a Quota that does not fit: {problem}"
    return None


def check_records(requests: Iterable[HttpRequest]) -> None:
    """Check what the host keeps books of: notes, costs, pairings and whose they are.

    Raises:
        UnfitAnswer: one has the wrong type.
    """
    for request in requests:
        if not _has_plain_records(request):
            _check_types(request)


def lone_contents(answers: Sequence[object]) -> list[bytes | None]:
    """Check each of a plugin's answers that is one request, as most are.

    Returns:
        The `content` of each such request; None where there is more to be told, or a fault.
    """
    found: list[bytes | None] = []
    for answer in answers:
        body = None
        if type(answer) is list and len(answer) == 1:
            try:
                body = checked_content(answer[0])
            except PASSED_ON:
                raise
            except BaseException:  # noqa: BLE001, S110 -- who looks into it alone finds it again
                pass
        found.append(body)
    return found


def checked_content(request: object) -> bytes:
    """Check a request as `contents` does, and return its `content`.

    Raises:
        UnfitAnswer: it is not a request, or cannot be sent.
    """
    if type(request) is not HttpRequest and not isinstance(request, HttpRequest):
        kind = type(request).__name__
        raise UnfitAnswer(f"returned a list that holds {kind}, not HttpRequest")
    sent: HttpRequest = request
    url, method, headers = sent.url, sent.method, sent.headers
    # Most requests pass at a glance.
    if (
        type(url) is not str
        or (method is not _POST and type(method) is not str)
        or type(sent.params) is not dict
        or sent.params
        or type(headers) is not dict
        or headers
        or sent.form is not None
        or sent.auth is not None
        or sent.content is not None
        or sent.gzip is not False
    ):
        _check_types(sent)
    if headers or method is not _POST or url not in _fine_urls:
        problem = unsendable(method, url, headers)
        if problem is not None:
            raise UnfitAnswer(f"returned a request that {problem}")
    try:
        return _encode(sent.json if sent.form is None else sent.form)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(error).__name__
        raise UnfitAnswer(f"returned a body that is not JSON ({kind})") from None


def _check_types(request: HttpRequest) -> None:
    if request.content is not None and type(request.content) is not bytes:
        kind = type(request.content).__name__  # msgspec would make bytes of text
        raise UnfitAnswer(f"returned a request that does not fit: content is {kind}, not bytes")
    if problem := _misfit(request, HttpRequest):
        raise UnfitAnswer(f"returned a request that does not fit: {problem}")
    records = {
        "auth": (request.auth,),
        "notes": request.notes,
        "costs": request.costs or _NONE,
        "bulk_costs": request.bulk_costs or _NONE,
        "pairings": request.pairings,
    }
    _refuse_look_alikes("a request", records)
    if problem := _unwritable(request):
        raise UnfitAnswer(f"returned a request that {problem}")


def _unwritable(request: HttpRequest) -> str | None:
    """Say what HTTP cannot carry of what few requests have; None if it can carry all."""
    if request.content is not None and not _VALUE.fullmatch(request.content_type):
        return "has a content_type that is not visible ASCII without line ends"
    texts: list[object] = []
    match request.auth:
        case BasicAuth(username, password):
            texts += (username, password)
        case BearerAuth(str() as token) if not _VALUE.fullmatch(token):  # a header has it as it is
            return "has a bearer token that is not visible ASCII without line ends"
        case BearerAuth(token):
            texts.append(token)
        case _:
            pass
    for name, value in request.params.items():
        texts += (name, value) if isinstance(value, str) else (name, *value)
    if not all(map(is_unicode, texts)):
        return "has a parameter or a credential that is not text in Unicode"
    return None


def is_unicode(text: object) -> bool:
    """Whether it is text that can be written: half a character cannot."""
    if not isinstance(text, str):
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _misfit(record: msgspec.Struct, kind: type[msgspec.Struct]) -> str | None:
    """Say which field of a record has the wrong type; None if all fit."""
    fields = asdict(record)
    try:
        msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        return str(error)
    except UnicodeEncodeError:  # at half a character, which it does not name
        for name, value in fields.items():
            if isinstance(value, str) and not is_unicode(value):
                return f"text that is not Unicode - at `$.{name}`"
        return "text that is not Unicode"
    return None


def _refuse_look_alikes(what: str, records: Mapping[str, Iterable[object]]) -> None:
    """Refuse a mapping with the keys of a record, which msgspec takes for one, and nobody else."""
    for name, given in records.items():
        for record in given:
            if isinstance(record, Mapping):
                kind = type(record).__name__
                problem = f"a {kind} in place of a record - at `$.{name}`"
                raise UnfitAnswer(f"returned {what} that does not fit: {problem}")


def _has_plain_records(request: HttpRequest) -> bool:
    notes, costs, bulk_costs = request.notes, request.costs, request.bulk_costs
    user_key, state_key, identity = request.user_key, request.state_key, request.identity
    if (
        request.message_ids is not _NONE
        or request.items is not _NONE
        or not (request.pairings is _NONE or _are_pairings(request.pairings))
        or (identity is not None and type(identity) is not str)
        or (user_key is not None and type(user_key) is not str)
        or (state_key is not None and type(state_key) is not str)
        or type(notes) is not tuple
        or (costs is not None and type(costs) is not tuple)
        or (bulk_costs is not None and type(bulk_costs) is not tuple)
    ):
        return False
    for note in notes:
        if type(note) is not Note:
            return False
    for cost in costs or _NONE:
        if type(cost) is not Cost:
            return False
    for cost in bulk_costs or _NONE:  # noqa: SIM110 -- `all` takes three times as long for so few
        if type(cost) is not Cost:
            return False
    return True


def _are_pairings(records: object) -> bool:
    return type(records) is tuple and all(type(record) is Pairing for record in records)


def _wrong_url(url: str) -> str | None:
    """Judge a URL, and remember one that is right: most destinations have only a handful."""
    if not _is_url(url):
        return "has a URL that is not http(s)://host/path without blanks"
    if len(_fine_urls) >= _MOST_URLS:
        _fine_urls.clear()
    _fine_urls.add(url)
    return None


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and _URL.fullmatch(url) is not None
