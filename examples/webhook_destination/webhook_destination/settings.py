"""A webhook connection's settings, typed, and what must not stand beside what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from destination_router import BasicAuth, BearerAuth, Json
from webhook_destination.target import Target, parse_target

JSON_TYPE = "application/json"
CONTENT_TYPES = {
    "json": JSON_TYPE,
    "ndjson": "application/x-ndjson",
    "form": "application/x-www-form-urlencoded",
}

OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
    }
    | {"upgrade", "keep-alive"}
)
"""Headers that belong to the HTTP client (RFC 9110, 7.6.1 and 8.6)."""

WITHOUT_BODY = frozenset({"GET", "DELETE"})


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user name and a password."""

    username: str
    password: str


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """How a body is signed; `SETTINGS_SCHEMA` says what each is."""

    secret: str
    header: str = "X-Signature"
    algorithm: Literal["sha1", "sha256", "sha512", ""] = ""
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much one request holds."""

    max_events: int = 100
    max_bytes: int = 1_000_000


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Statuses that mean something else here than they mean to most receivers."""

    delivered: tuple[int, ...] = ()
    retry: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the hooks receive as `settings`.

    Attributes:
        target: where requests go.
        headers: by lower-case name; without the content type.
        content_type: of the body.
        signature: with its algorithm.
        outcome_of: what a status means, where the settings say.
    """

    target: Target
    method: str
    format: Literal["rudderstack", "segment"]
    body: Literal["json", "form", "ndjson"]
    content_type: str
    headers: Mapping[str, str]
    gzip: bool
    event_routing: bool
    basic_auth: Credentials | None
    bearer_token: str | None
    signature: Signature | None
    batch: Batch | None
    requests_per_minute: int | None
    outcome_of: Mapping[int, str]

    @property
    def auth(self) -> BasicAuth | BearerAuth | None:
        """What the host makes an `Authorization` of."""
        if self.basic_auth is not None:
            return BasicAuth(self.basic_auth.username, self.basic_auth.password)
        return None if self.bearer_token is None else BearerAuth(self.bearer_token)

    @property
    def reserved_headers(self) -> frozenset[str]:
        """The headers, by lower-case name, that no event may set."""
        own = {"authorization", "cookie", "content-type", "user-agent", *self.headers}
        if self.signature is not None:
            own.add(self.signature.header.lower())
        return OF_THE_CONNECTION | own


class _Header(msgspec.Struct, frozen=True, kw_only=True, rename={"name": "from", "value": "to"}):
    name: str = ""
    value: str = ""


class _Given(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The settings as the schema has them, and its defaults."""

    webhook_url: str
    webhook_method: str = "POST"
    headers: tuple[_Header, ...] = ()
    format: Literal["rudderstack", "segment"] = "rudderstack"
    body: Literal["json", "form", "ndjson"] = "json"
    gzip: bool = False
    event_routing: bool = True
    basic_auth: Credentials | None = None
    bearer_token: str | None = None
    signature: Signature | None = None
    batch: Batch | None = None
    requests_per_minute: int | None = None
    outcomes: Outcomes = Outcomes()


def configured(settings: dict[str, Json]) -> WebhookSettings:
    """Type valid settings.

    Raises:
        ValueError: they contradict each other; the text names no value but a header's name or a
            status.
    """
    given = msgspec.convert(settings, _Given)
    headers = {header.name.lower(): header.value.strip() for header in given.headers if header.name}
    _check_headers(headers, given)
    _check_method(given)
    content_type = headers.pop("content-type", "") or CONTENT_TYPES[given.body]
    return WebhookSettings(
        target=parse_target(given.webhook_url),
        method=given.webhook_method,
        format=given.format,
        body=given.body,
        content_type=content_type,
        headers=headers,
        gzip=given.gzip,
        event_routing=given.event_routing and given.format == "rudderstack",
        basic_auth=given.basic_auth,
        bearer_token=given.bearer_token,
        signature=_with_algorithm(given.signature, given.format),
        batch=given.batch,
        requests_per_minute=given.requests_per_minute,
        outcome_of=_by_status(given.outcomes),
    )


def _check_headers(headers: Mapping[str, str], given: _Given) -> None:
    for name in sorted(headers.keys() & OF_THE_CONNECTION):
        raise ValueError(f"headers: the HTTP client sets {name} by itself; leave it out")
    if given.basic_auth is not None and given.bearer_token is not None:
        raise ValueError("basicAuth and bearerToken are both an Authorization; give one of them")
    if "authorization" in headers and (given.basic_auth or given.bearer_token is not None):
        raise ValueError("headers: leave out authorization where basicAuth or bearerToken is given")
    if given.signature is not None and given.signature.header.lower() in headers:
        raise ValueError(
            "headers: the signature stands in that header; name another for one of them"
        )
    if given.signature is not None and given.signature.header.lower() in _NO_SIGNATURE:
        raise ValueError("signature.header: that header is needed for something else; name another")


_NO_SIGNATURE = OF_THE_CONNECTION | {"content-type", "authorization", "user-agent"}


def _check_method(given: _Given) -> None:
    if given.format == "segment" and given.webhook_method in WITHOUT_BODY:
        raise ValueError("webhookMethod: in Segment's format it is POST, PUT or PATCH")
    if given.webhook_method in WITHOUT_BODY:
        for name, value in (("signature", given.signature), ("batch", given.batch)):
            if value is not None:
                raise ValueError(f"{name}: a {given.webhook_method} has no body; leave it out")
        if given.body != "json" or given.gzip:
            raise ValueError(f"body, gzip: a {given.webhook_method} has no body; leave them out")
    if given.batch is not None and given.body == "form":
        raise ValueError("batch: a form holds one event; choose json or ndjson as body")


def _with_algorithm(signature: Signature | None, form: str) -> Signature | None:
    """Fill in the algorithm: SHA-1 is what Segment's receivers expect, SHA-256 what others do."""
    if signature is None or signature.algorithm:
        return signature
    return msgspec.structs.replace(signature, algorithm="sha1" if form == "segment" else "sha256")


def _by_status(outcomes: Outcomes) -> dict[int, str]:
    table: dict[int, str] = {}
    for name in ("delivered", "retry", "held", "rejected"):
        for status in getattr(outcomes, name):
            if table.setdefault(status, name) != name:
                raise ValueError(f"outcomes: {status} is both {table[status]} and {name}")
    return table
