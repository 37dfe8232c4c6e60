"""The plain records that pass between a destination and its host.

A destination builds them. The host sends, shows and stores them. `default_outcome` says what an
HTTP status means if the destination does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of these, or dict of text to these."""

Result = Literal["delivered", "retry", "rejected", "suspect", "held"]

_RETRIED_STATUSES = frozenset({408, 423, 429})
_NOT_IMPLEMENTED = 501
_HELD_STATUSES = frozenset({401, 403, 407})
_HELD_UNLESS_PROVEN = frozenset({402, 404, 405, 410})
_WORDS = 500


class Note(msgspec.Struct, frozen=True, gc=False):
    """Tells that a mapping changed or left out something.

    Attributes:
        code: `truncated`, `renamed`, `joined`, `converted`, `dropped`, `unsafe_identity`,
            `invalid_timestamp`, or a code of the destination's own.
        path: the place in the message, from its root: `properties.items.0.sku`.
        detail: what happened and why, without the value itself.
    """

    code: str
    path: str
    detail: str


class Reject(Exception):  # noqa: N818 -- the contract's word: a destination rejects a message
    """Raise it to refuse a message. The host makes it a dead letter with this code.

    Args:
        code: a stable name for the reason, in snake_case: `missing_identity`. Metrics have it as a
            label, so a code that is not a plain word, because it holds a value, becomes `rejected`.
        detail: a sentence that names the field and says what to do, without personal values.
        path: the field at fault, from the message's root. Empty if no field is at fault.
    """

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(code, detail, path)
        self.code = code
        self.detail = f"{path}: {detail}" if path else detail
        self.path = path

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Ignored(msgspec.Struct, frozen=True):
    """Return it from a hook in place of `[]` to say why nothing is sent on purpose.

    Attributes:
        reason: a sentence for people who look for the message: what this destination has no use
            for, and what would change that. It holds no personal values.
        notes: what was left out.
    """

    reason: str
    notes: tuple[Note, ...] = ()


class BasicAuth(msgspec.Struct, frozen=True, tag="basic", tag_field="scheme"):
    """HTTP Basic authentication. The host writes the header when it sends the request.

    Attributes:
        username: the user, or what the vendor wants in its place, such as an API key.
        password: the secret. Empty if the vendor wants none.
    """

    username: str
    password: str = ""

    def __repr__(self) -> str:
        return "BasicAuth('***', '***')"


class BearerAuth(msgspec.Struct, frozen=True, tag="bearer", tag_field="scheme"):
    """A bearer token. The host writes the header when it sends the request.

    Attributes:
        token: the secret, without the word `Bearer`: visible ASCII, as it goes into a header.
    """

    token: str

    def __repr__(self) -> str:
        return "BearerAuth('***')"


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What a request takes from one of the destination's quotas.

    Attributes:
        quota: the quota's name.
        amount: how much, in the quota's unit.
        key: for a quota of scope `user`, the user, as the vendor tells users apart.
    """

    quota: str
    amount: int = 1
    key: str = ""


class Pairing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tie that a request makes, for a vendor that limits ties and drops the others silently.

    The host counts ties on disk. It does not send a tie beyond the limit, and says so. It does not
    send a tie again that the vendor has.

    Attributes:
        rule: the vendor's rule, in snake_case. A message that would break it gets it as its code.
        key: whose ties are counted, as the vendor tells users (and accounts) apart.
        value: what the key is tied to. The same value again is the same tie.
        limit: how many different values a key may have.
        period: the seconds in which the limit holds. None is for ever.
        detail: what the vendor allows and what to do, without personal values.
    """

    rule: str
    key: str
    value: str
    limit: int
    period: float | None = None
    detail: str = ""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One HTTP request for a vendor, as data: it compares, prints and serialises.

    Attributes:
        method: an HTTP method in capitals.
        url: an absolute https URL, without a query and without secrets.
        params: the query, before URL encoding. A tuple of texts repeats its parameter.
        headers: headers beside those that the host adds (`Content-Type`, `Content-Encoding`,
            `User-Agent`, authentication).
        json: the body as a JSON value. At most one of `json`, `form` and `content`.
        form: the body as fields to be URL-encoded.
        auth: credentials, if the vendor wants them in a header.
        message_ids: the messages that this request carries. If it is empty, the host fills in the
            message that it asked the hook about.
        user_key: the user whose order the request keeps. If it is None, the host fills in the
            message's user.
        notes: what the mapping changed or left out.
        state_key: the name of the state, for a request that only overwrites state (a profile
            update). The host may skip an exact repeat of the last one that was delivered.
        items: for a bulk request, the message ids of each item of its body, in the body's order,
            so that `on_response` can read an answer that names an item by its index.
        costs: what the request takes from the destination's quotas. None takes one request, one
            event for each message, or the bytes of the body from every quota, for its `user_key`.
        bulk_costs: what a single request adds to the costs of its bulk. The host holds back a
            request that would not fit. None is the same as `costs`, or, if those are None, too, the
            events and bytes.
        pairings: the ties that the request makes, if the vendor limits them. `pack` leaves such a
            request as it is.
        identity: the identity that the request names, for a vendor that merges everybody with the
            same one. The host holds back an identity that too many anonymous ids carry. Empty is
            nobody. None is the message's userId, unless a note says that it was left out.
        content: the body as bytes of any other type, such as lines of JSON or XML.
        content_type: the type of `content`, which needs one: `application/x-ndjson`.
        gzip: whether the host compresses the body with gzip and sets `Content-Encoding`. Limits
            and quotas count the bytes before compression.

    Raises:
        ValueError: There is more than one body, or a `content` without its type.
    """

    url: str
    method: str = "POST"
    params: Mapping[str, str | tuple[str, ...]] = {}
    headers: Mapping[str, str] = {}
    json: Json = None
    form: Mapping[str, str] | None = None
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

    def __post_init__(self) -> None:
        """Refuse a request with two bodies: one of them would be lost."""
        if self.content is not None:
            if self.json is not None or self.form is not None:
                raise _wrong_body("a request has one body: give `json`, `form` or `content`")
            if not self.content_type:
                raise _wrong_body("bytes need a type: give `content_type` beside `content`")
        elif self.json is not None and self.form is not None:
            raise _wrong_body("a request has one body: give `json` or `form`, not both")


def _wrong_body(words: str) -> ValueError:
    """Make an error of ours that holds nothing of a user's, so that `whereabouts` may quote it."""
    error = ValueError(words)
    vars(error)["tells_itself"] = True
    return error


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's answer.

    Attributes:
        status: the HTTP status.
        headers: the headers, with their names in lower case.
        body: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text. Bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Json:
        """Return the body as a JSON value, or None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError):  # what msgspec raises, and any other number or text
            return None


class Outcome(msgspec.Struct, frozen=True):
    """What a vendor's answer means for one message.

    Build one with `Outcome.delivered()`, `Outcome.retry(after=…)`,
    `Outcome.rejected(code, detail)`, `Outcome.suspect(code, detail)` or
    `Outcome.held(code, detail)`.

    Attributes:
        result: `delivered`; `retry` (the same request may succeed later); `rejected` (it never
            will); `suspect` (one of several suspects never will); or `held` (the message is right,
            but the connection may not send now).
        code: the reason. `rejected`, `suspect` and `held` need one. `retry` may have one.
        detail: the vendor's own words, or a sentence of the destination's.
        after: for `retry`, the seconds that the vendor asks to wait.
        unless_proven: for `held`: if the request's origin has taken something from this connection
            before, now or in an earlier run of the router, the message is `rejected` instead.
    """

    result: Result
    code: str = ""
    detail: str = ""
    after: float | None = None
    unless_proven: bool = False

    @classmethod
    def delivered(cls) -> Outcome:
        """The vendor has the message."""
        return _DELIVERED

    @classmethod
    def retry(cls, after: float | None = None, *, code: str = "", detail: str = "") -> Outcome:
        """Send the same again, not before `after` seconds. If `after` is None, the host chooses.

        In a refused bulk, return `retry(after=0)` for each message that is not at fault: it goes
        out again at once, without the ones that are `rejected`, `suspect`, or have to wait (such
        as `retry(after=30)` for a throttled user).
        """
        return cls("retry", code, detail, after)

    @classmethod
    def rejected(cls, code: str, detail: str = "") -> Outcome:
        """The vendor refuses the message, and would refuse it again."""
        return cls("rejected", code, detail)

    @classmethod
    def suspect(cls, code: str, detail: str = "") -> Outcome:
        """One of the messages with this outcome is at fault, and the vendor does not say which.

        The host sends them again by halves, until the bad one stands alone and is rejected. It
        does the same if a whole bulk is rejected for its body (statuses 400, 413 and 422).
        """
        return cls("suspect", code, detail)

    @classmethod
    def held(cls, code: str, detail: str = "", *, unless_proven: bool = False) -> Outcome:
        """The message is right, but the vendor takes nothing of this connection now.

        For example, its key was revoked, or its account is closed. The host stops sending for the
        connection and keeps every message, in order. It asks again with one request now and then,
        and goes on by itself once the vendor takes one. If the vendor refuses one record only,
        return `rejected`.

        Args:
            code: a stable name for the reason, in snake_case: `invalid_api_key`.
            detail: the vendor's own words.
            unless_proven: for an answer that may be about this request alone (a 404). The message
                is `rejected` if the vendor has taken something from this connection.
        """
        return cls("held", code, detail, unless_proven=unless_proven)


_DELIVERED = Outcome("delivered")


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A rate limit that a vendor documents. The host keeps within it.

    Attributes:
        name: the name in metrics and messages: `events_per_app`.
        limit: how many a period allows.
        period: the period in seconds.
        unit: what is counted: HTTP requests, the events in them, or the bytes of their bodies
            before compression. `HttpRequest.costs` says what a request takes.
        scope: whether the limit is for the whole connection, or for each `user_key` by itself.
    """

    name: str
    limit: int
    period: float
    unit: Literal["requests", "events", "bytes"] = "requests"
    scope: Literal["connection", "user"] = "connection"


def default_outcome(response: HttpResponse) -> Outcome:
    """Read an answer as most vendors mean it.

    | Status | Outcome |
    |---|---|
    | 2xx | `delivered` |
    | 408, 423, 429, 5xx except 501 | `retry`, not before what `Retry-After` says |
    | 401, 403, 407 | `held`: the connection's credentials are refused |
    | 3xx | `held`: the vendor moved; following it could carry data to a stranger |
    | 402, 404, 405, 410 | `held(unless_proven=True)` |
    | any other | `rejected` |

    The code is `http_<status>`, and the detail is the first line of the answer.
    """
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 -- the class of HTTP statuses
        return Outcome.delivered()
    code = f"http_{status}"
    if status in _RETRIED_STATUSES or (500 <= status < 600 and status != _NOT_IMPLEMENTED):  # noqa: PLR2004
        return Outcome.retry(retry_after(response), code=code)
    if 300 <= status < 400:  # noqa: PLR2004
        return Outcome.held(code, "a redirect, which is not followed")
    words = response.text.strip().partition("\n")[0][:_WORDS]
    if status in _HELD_STATUSES or status in _HELD_UNLESS_PROVEN:
        return Outcome.held(code, words, unless_proven=status in _HELD_UNLESS_PROVEN)
    return Outcome.rejected(code, words)


_LONGEST_WAIT_DIGITS = 15
"""Of seconds: thirty million years, and still a number that a float holds."""


def retry_after(response: HttpResponse) -> float | None:
    """Read `Retry-After` in both its forms: seconds, or a date (RFC 9110, 10.2.3).

    A date counts from the answer's own `Date`, so that the two clocks need not agree. The host
    adds a `Date` to an answer that has none.

    Returns:
        Seconds, never negative. None if the header is missing, or has neither form.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_LONGEST_WAIT_DIGITS])
    until, now = _http_date(text), _http_date(response.headers.get("date", ""))
    return None if until is None or now is None else max(0.0, until - now)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except Exception:  # noqa: BLE001 -- Python's parser raises this and that for what is no date
        return None


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a call that a connection's mapping may override.

    Attributes:
        name: the name in snake_case: `anonymous_id`.
        type: the type of the value: `string`, `object` or `datetime`.
        description: what the field is for.
        required: whether the vendor needs it.
        default: the directive that gives its value if a mapping does not
            (`{"@path": "$.anonymousId"}`). None if there is no such directive, or if the
            description says what is used.
        part: the part of the message that the field is (`anonymousId`, `properties`,
            `context.traits`, `type`). The host puts the mapped value there. Empty if the field is
            no part of the message: the plugin then finds its value in `message.mapped`, by name.
    """

    name: str
    type: Literal["string", "object", "datetime"]
    description: str
    required: bool = False
    default: Json = None
    part: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination makes of the settings that another system exported for it.

    Attributes:
        settings: the connection's settings.
        subscriptions: the connection's subscriptions, each `{"name", "subscription", "mapping"}`
            with a mapping for every call that it takes. None is the plugin's own subscription.
        lost: what could not be carried over, one sentence for each.
    """

    settings: dict[str, Json]
    subscriptions: tuple[dict[str, Json], ...] | None = None
    lost: tuple[str, ...] = ()
