"""Cases: a rule each, with an input, what comes of it, and where that is documented.

They are data (`schema/case-file.v1.json` says of what shape), so that an implementation in any
language can run them. This module reads a folder of them into typed records, and says of every
mistake which file and which case it is in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from destination_router.settings.documents import DocumentError, parse_json

TODO = "TODO"
"""What `destination-router record` leaves for a person to fill in."""


class CaseError(ValueError):
    """Case files that cannot be used; one line for each problem, with its file and case."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all records have in common: how they are spelt in a file."""


class Source(_Record, frozen=True, kw_only=True):
    """Where a rule is documented, or what was decided where nobody documents it.

    Attributes:
        url: a public page.
        quote: what it says, word for word.
        summary: what it says, in other words; in place of a quote.
        retrieved: the day it said so.
        decision: what was decided, and why; in place of all else.
    """

    url: str = ""
    quote: str = ""
    summary: str = ""
    retrieved: str = ""
    decision: str = ""

    def __str__(self) -> str:
        if self.decision:
            return f"decided: {self.decision}"
        said = f"“{self.quote}”" if self.quote else self.summary
        return f"documented: {self.url} (retrieved {self.retrieved}): {said}"


class ExpectedReject(_Record, frozen=True, kw_only=True):
    """A refusal, by its stable code."""

    code: str


class ExpectedSettings(_Record, frozen=True, kw_only=True):
    """Whether settings can be used. If not, the paths that are wrong."""

    valid: bool
    errors: tuple[str, ...] = ()


class Expectation(_Record, frozen=True, kw_only=True):
    """What comes of the input: exactly one of the first five, and perhaps the notes' codes."""

    requests: tuple[dict[str, Any], ...] | None = None
    reject: ExpectedReject | None = None
    ignored: bool = False
    outcome: dict[str, Any] | None = None
    settings: ExpectedSettings | None = None
    notes: tuple[str, ...] | None = None


class AnsweredRequest(_Record, frozen=True, kw_only=True):
    """The request that a response answers.

    Attributes:
        url: where it went.
        message_ids: the messages that it carries.
        items: for a bulk, those that went into each of its items.
        json: its body, as a JSON value.
        form: its body, as fields.
        content: its body, as text of any other type.
        content_type: of `content`.
    """

    url: str
    message_ids: tuple[str, ...]
    items: tuple[tuple[str, ...], ...] = ()
    json: Any = None
    form: dict[str, str] | None = None
    content: str | None = None
    content_type: str = "text/plain"


class Response(_Record, frozen=True, kw_only=True):
    """A vendor's answer to a request."""

    status: int
    request: AnsweredRequest
    headers: dict[str, str] = {}
    body: str = ""


class Limit(_Record, frozen=True, kw_only=True):
    """At most `max` items, and `max_bytes` bytes, in a body that goes to `url`.

    Attributes:
        url: where it goes.
        items: the body's key, or the form's field, that holds the list; empty where the body
            itself is the list.
        max: how many items.
        max_bytes: how many bytes of body, JSON or URL-encoded form; None for any number.
        source: where that is documented.
        settings: the defaults of its file, under which it is looked at.
    """

    url: str
    max: int
    source: Source
    items: str = ""
    max_bytes: int | None = None
    settings: dict[str, Any] = {}

    def listed(self, body: Any) -> list[Any] | None:
        """Find a body's list; None if it is not in the form of a bulk."""
        found = body.get(self.items) if self.items and isinstance(body, dict) else body
        return found if isinstance(found, list) else None


class Case(_Record, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        id: stable: `track/idempotency-key`.
        title: the rule, as a sentence.
        status: a failing `provisional` case is shown and fails nothing.
        since: the suite version that it came with; empty for the first.
        level: `core` or `extended`.
        source: where the rule is documented; the file's, if the case has none.
        statement: the sentence of that page, by page and number: `track-1/3`.
        settings: the connection's, with the file's defaults filled in.
        connection: what it says beside its settings (a mapping, say), spelt as in a router.toml.
        message: the input, if it is one message.
        messages: the input, if it is several, packed.
        response: the input, if it is a vendor's answer.
        needs: the hooks without which the case does not apply.
        expect: what comes of it.
    """

    id: str
    title: str
    status: Literal["stable", "provisional"]
    level: Literal["core", "extended"]
    expect: Expectation
    source: Source
    statement: str = ""
    since: str = ""
    settings: dict[str, Any] = {}
    connection: dict[str, Any] = {}
    message: dict[str, Any] | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    response: Response | None = None
    needs: tuple[str, ...] = ()

    @property
    def sent(self) -> tuple[dict[str, Any], ...]:
        """The messages that go in, however many they are."""
        if self.messages is not None:
            return self.messages
        return () if self.message is None else (self.message,)

    @property
    def required_hooks(self) -> tuple[str, ...]:
        """The hooks without which the case does not apply."""
        return self.needs if self.messages is None else ("pack", *self.needs)


class CaseSet(msgspec.Struct, frozen=True, kw_only=True):
    """All cases of a destination.

    Attributes:
        cases: in the order of their files' names.
        limits: how much the vendor takes at once.
        settings: settings that work, for the checks that need no case: the first file's defaults.
        digest: of the files' content, whatever the checkout did to line ends: `sha256:…`.
    """

    cases: tuple[Case, ...] = ()
    limits: tuple[Limit, ...] = ()
    settings: dict[str, Any] = {}
    digest: str = f"sha256:{hashlib.sha256().hexdigest()}"


def load_cases(folder: Path) -> CaseSet:
    """Read every `*.json` of a folder and of the folders in it.

    Raises:
        CaseError: no such folder, nothing in it, or problems in its files: all of them at once.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise CaseError(f"{folder}: there are no case files (*.json) here")
    twice = sorted({path.name for path in paths if [p.name for p in paths].count(path.name) > 1})
    if twice:
        raise CaseError(f"{folder}: {', '.join(twice)} is there twice; give each file its own name")
    return read_cases({path.name: path.read_bytes() for path in paths})


def read_cases(contents: Mapping[str, bytes]) -> CaseSet:
    """Turn the contents of case files, by file name, into records.

    Raises:
        CaseError: with every problem that was found.
    """
    problems: list[str] = []
    cases: list[Case] = []
    limits: list[Limit] = []
    settings: dict[str, Any] | None = None
    digest = hashlib.sha256()
    for name, document in _documents(contents, problems):
        digest.update(name.encode() + b"\0" + msgspec.json.encode(document, order="sorted"))
        defaults = document.get("defaults", {})
        if settings is None:
            settings = defaults.get("settings")
        limits.extend(_limits(document.get("limits", []), defaults))
        cases.extend(_cases(name, document["cases"], defaults, problems))
    problems.extend(_repeated_ids(cases))
    if problems:
        raise CaseError("\n".join(problems))
    return CaseSet(
        cases=tuple(cases),
        limits=tuple(limits),
        settings=settings or {},
        digest=f"sha256:{digest.hexdigest()}",
    )


def _documents(
    contents: Mapping[str, bytes], problems: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each document that can be used, with the name of its file."""
    for name, content in contents.items():
        try:
            documents = [parse_json(text, any_number=True) for text in _texts(content.decode())]
        except (DocumentError, UnicodeDecodeError) as error:
            detail = error if isinstance(error, DocumentError) else "is not text in UTF-8"
            problems.append(f"{name} {detail}")
            continue
        for document in documents:
            found = [*_to_do(name, document)] or [
                _explain(name, document, error) for error in _validator().iter_errors(document)
            ]
            problems.extend(sorted(found))
            if not found:
                yield name, document


def _texts(text: str) -> Iterator[str]:
    """Cut a file into its documents: `record` may have been told to append one (`>>`)."""
    begin = 0
    for joint in re.finditer(r"^\}\s*(?=^\{)", text, re.MULTILINE):
        yield text[begin : joint.end()]
        begin = joint.end()
    yield text[begin:]


def _to_do(name: str, document: Any) -> Iterator[str]:
    """Report the fields that `record` left for a person to fill in."""
    cases = document.get("cases") if isinstance(document, dict) else None
    for case in cases if isinstance(cases, list) else ():
        if not isinstance(case, dict):
            continue
        source = case.get("source")
        if case.get("title") == TODO:
            yield f"{name}: case {case.get('id')}: title: say the rule, as a sentence"
        if source == TODO or (isinstance(source, dict) and TODO in source.values()):
            yield (
                f"{name}: case {case.get('id')}: source: say where the rule is documented (url, "
                "quote or summary, retrieved), or give a decision in place of all three"
            )


def _cases(
    name: str, raw: list[dict[str, Any]], defaults: dict[str, Any], problems: list[str]
) -> Iterator[Case]:
    topic = name.removesuffix(".json")
    for case in raw:
        case_id = case["id"]
        if topic == "check":
            problems.append(f"{name}: ids that begin with check/ are those of the suite's checks")
        if case_id.partition("/")[0] != topic:
            problems.append(f"{name}: case {case_id}: its id must begin with {topic}/")
        source = case.get("source", defaults.get("source"))
        if source is None:
            problems.append(f"{name}: case {case_id}: it has no source, nor has the file")
            continue
        settings = {**defaults.get("settings", {}), **case.get("settings", {})}
        # A statement belongs to its source: a case with a source of its own inherits neither.
        inherited = {} if "source" in case else {"statement": defaults.get("statement", "")}
        filled = {**inherited, **case, "source": source, "settings": settings}
        yield msgspec.convert(filled, Case)


def _limits(raw: list[dict[str, Any]], defaults: dict[str, Any]) -> list[Limit]:
    settings = defaults.get("settings", {})
    return msgspec.convert([{**limit, "settings": settings} for limit in raw], list[Limit])


def _repeated_ids(cases: list[Case]) -> Iterator[str]:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            topic = case.id.partition("/")[0]
            yield f"{topic}.json: case {case.id}: the id is used twice"
        seen.add(case.id)


@cache
def _validator() -> Draft202012Validator:
    schema = files("conformance").joinpath("schema", "case-file.v1.json").read_bytes()
    return Draft202012Validator(msgspec.json.decode(schema))


def _explain(name: str, document: Any, error: ValidationError) -> str:
    """Say what is wrong and where: the file, the case's id, the path in the case."""
    path = list(error.absolute_path)
    place = ""
    if len(path) > 1 and path[0] == "cases":
        case = document["cases"][path[1]]
        case_id = case.get("id") if isinstance(case, dict) else None
        place = f"case {case_id or path[1]}: "
        path = path[2:]
    where = ".".join(map(str, path))
    schema = error.schema
    rule = schema.get("$comment") if isinstance(schema, dict) else None
    reason = rule if rule and error.validator in _COMMENTED else error.message
    return f"{name}: {place}{where}: {reason}" if where else f"{name}: {place}{reason}"


_COMMENTED = ("oneOf", "if", "not")
"""Keywords that need a sentence of the schema's own (its `$comment`) to be understood."""
