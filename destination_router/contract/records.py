"""The plain records that pass between a destination and its host.

A destination builds them, the host sends, shows and stores them. `default_outcome` says what an
HTTP status means where a destination does not.
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


class Note(msgspec.Struct, frozen=True):
    """Something that a mapping changed or left out, so that nobody has to guess.

    Attributes:
        code: `truncated`, `renamed`, `joined`, `converted`, `dropped`, `unsafe_identity`,
            `invalid_timestamp`, or a code of the destination's own.
        path: where in the message, from its root: `properties.items.0.sku`.
        detail: what happened and why, without the value itself.
    """

    code: str
    path: str
    detail: str


class Reject(Exception):  # noqa: N818 -- the contract's word: a destination rejects a message
    """Raised to refuse a message; the host files it with its code and tells who sent it.

    Args:
        code: a stable name for the reason, in snake_case: `missing_identity`. It is a label of
            metrics: one that is no plain word, because a value stands in it, becomes `rejected`.
        detail: a sentence that names the field and says what to do, without personal values.
        path: the field at fault, from the message's root; empty where no field is.
    """

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(code, detail, path)
        self.code = code
        self.detail = f"{path}: {detail}" if path else detail
        self.path = path

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Ignored(msgspec.Struct, frozen=True):
    """What a hook returns in place of `[]`: nothing is sent on purpose, and this is why.

    Attributes:
        reason: a sentence for whoever looks for the message: what this destination has no use for,
            and what would make a difference; without personal values.
        notes: what was left out on the way to it.
    """

    reason: str
    notes: tuple[Note, ...] = ()


class BasicAuth(msgspec.Struct, frozen=True, tag="basic", tag_field="scheme"):
    """HTTP Basic authentication; the host renders the header at the last moment.

    Attributes:
        username: the user, or whatever the vendor takes in this place, such as an API key.
        password: the secret; empty where the vendor wants none.
    """

    username: str
    password: str = ""

    def __repr__(self) -> str:
        return "BasicAuth('***', '***')"


class BearerAuth(msgspec.Struct, frozen=True, tag="bearer", tag_field="scheme"):
    """A bearer token; the host renders the header at the last moment.

    Attributes:
        token: the secret, without the word `Bearer`.
    """

    token: str

    def __repr__(self) -> str:
        return "BearerAuth('***')"


class Cost(msgspec.Struct, frozen=True):
    """What one request takes from one of its destination's quotas.

    Attributes:
        quota: the quota's name.
        amount: how many of its unit.
        key: whose budget it is, as the vendor sees users; for a quota of scope `user`.
    """

    quota: str
    amount: int = 1
    key: str = ""


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """A tie that a request makes, where the vendor takes only so many and drops the rest unsaid.

    The host keeps a durable count. It does not send what is beyond the limit, and tells; it does
    not send again what the vendor has.

    Attributes:
        rule: the vendor's rule, in snake_case: the code of a message that would break it.
        key: whose ties are counted, as the vendor tells users (and accounts) apart.
        value: what it is tied to. The same value again is the same tie.
        limit: how many different values a key may have.
        period: within how many seconds; None: for ever.
        detail: what the vendor allows and what to do, without personal values.
    """

    rule: str
    key: str
    value: str
    limit: int
    period: float | None = None
    detail: str = ""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTP request for a vendor, as data: it compares, prints and serialises.

    Attributes:
        method: an HTTP method in capitals.
        url: absolute, https, without a query and without secrets.
        params: the query, before URL encoding. A tuple of texts repeats its parameter.
        headers: beyond those the host adds (`Content-Type`, `Content-Encoding`, `User-Agent`,
            authentication).
        json: the body as a JSON value. At most one of `json`, `form` and `content`.
        form: the body as fields to be URL-encoded.
        auth: credentials, if the vendor wants them in a header.
        message_ids: the messages that this request carries. Left empty, the host fills in the
            message at hand.
        user_key: whose order it belongs to. Left None, the host fills in the message's user.
        notes: what the mapping changed or left out on the way here.
        state_key: set on a request that only overwrites state (a profile update), and names
            that state: the host may skip an exact repeat of the last one delivered.
        items: for a bulk request, the message ids of each item of its body, in the body's order,
            so that `on_response` can read an answer that names an item by its index.
        costs: what it takes from the destination's quotas. None: from every quota one request,
            one event for each message, or the bytes of its body, for its `user_key`.
        bulk_costs: for a single request, what it will add to the costs of the bulk that `pack`
            puts it in: the host keeps back what would not fit. None: the same as `costs`, or,
            if those are None too, the events and bytes.
        pairings: the ties that it makes and the vendor limits. `pack` leaves such a request as
            it is.
        identity: whom it names, at a vendor that merges all who carry the same: the host holds
            back one that too many anonymous ids carry. Empty: nobody. Left None, the host takes
            the message's userId, unless a note says that it was left out.
        content: the body as bytes of any other type, such as lines of JSON or XML.
        content_type: of `content`, which needs one: `application/x-ndjson`.
        gzip: whether the host packs the body with gzip and says so in `Content-Encoding`. What is
            limited or paid for by bytes is counted before.

    Raises:
        ValueError: more than one body is given, or a `content` without its type.
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
                raise ValueError("a request has one body: give `json`, `form` or `content`")
            if not self.content_type:
                raise ValueError("bytes need a type: give `content_type` beside `content`")
        elif self.json is not None and self.form is not None:
            raise ValueError("a request has one body: give `json` or `form`, not both")


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's answer.

    Attributes:
        status: the HTTP status.
        headers: the headers; their names are in lower case.
        body: the body, unpacked.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Json:
        """The body as a JSON value, or None if it is not JSON."""
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
            will); `suspect` (it or a neighbour that is suspect too never will); or `held`
            (nothing is wrong with it, but the connection may not send now).
        code: why, for `rejected`, `suspect` and `held` (required) and `retry` (optional).
        detail: the vendor's own words, or a sentence of the destination's.
        after: for `retry`, the seconds that the vendor asks to wait.
        unless_proven: for `held`: it is `rejected` where the request's origin has taken something
            from this connection before, now or in an earlier run of the router.
    """

    result: Result
    code: str = ""
    detail: str = ""
    after: float | None = None
    unless_proven: bool = False

    @classmethod
    def delivered(cls) -> Outcome:
        """The vendor has it."""
        return _DELIVERED

    @classmethod
    def retry(cls, after: float | None = None, *, code: str = "", detail: str = "") -> Outcome:
        """Send the same again, not before `after` seconds (None: the host chooses).

        A message that was only refused along with a neighbour that is `rejected` or `suspect`, or
        that has to wait (`retry(after=30)`: its user is throttled), is `retry(after=0)`: it goes
        out at once, without that neighbour.
        """
        return cls("retry", code, detail, after)

    @classmethod
    def rejected(cls, code: str, detail: str = "") -> Outcome:
        """Sending the same again would fail again."""
        return cls("rejected", code, detail)

    @classmethod
    def suspect(cls, code: str, detail: str = "") -> Outcome:
        """One of the messages with this outcome is at fault, and the vendor does not say which.

        The host sends them apart, by halves, until the bad one stands alone and is rejected. It
        does the same where a whole bulk is rejected for its body (statuses 400, 413 and 422).
        """
        return cls("suspect", code, detail)

    @classmethod
    def held(cls, code: str, detail: str = "", *, unless_proven: bool = False) -> Outcome:
        """Nothing is wrong with the message, but the vendor takes none of this connection's now.

        Its key was revoked, say, or its account is closed. The host stops sending for the
        connection and keeps every message, in order. It asks again with one request now and then,
        and goes on by itself once the vendor takes one. A refusal that is about one record alone
        is `rejected`.

        Args:
            code: a stable name for the reason, in snake_case: `invalid_api_key`.
            detail: the vendor's own words.
            unless_proven: for an answer that may be about this request alone (a 404): it is
                `rejected` once the vendor has taken something from this connection.
        """
        return cls("held", code, detail, unless_proven=unless_proven)


_DELIVERED = Outcome("delivered")


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A rate limit that a vendor documents; the host keeps it, so that the vendor need not.

    Attributes:
        name: for metrics and messages: `events_per_app`.
        limit: how many in a period.
        period: in seconds.
        unit: what is counted: HTTP requests, the events inside them, or the bytes of their
            bodies before any gzip. What a request takes is `HttpRequest.costs`.
        scope: over the whole connection, or for each `user_key` by itself.
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

    The code is `http_<status>`, the detail the first line of the answer.
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
        Seconds, never negative; None where the header is missing or neither form.
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
        name: in snake_case: `anonymous_id`.
        type: of the value: `string`, `object` or `datetime`.
        description: what it is for.
        required: whether the vendor cannot do without it.
        default: the directive that gives its value where nothing is overridden
            (`{"@path": "$.anonymousId"}`); None where it is unmapped, or where the description
            says what is used.
        part: the part of the message that the field stands for (`anonymousId`, `properties`,
            `context.traits`, `type`): the host puts the mapped value there. Empty for a field
            that no part holds: the plugin finds its value in `message.mapped` under the name.
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
        settings: the connection's.
        subscriptions: what the connection takes, each `{"name", "subscription", "mapping"}` with
            a mapping for every call that it is for; None for the plugin's own.
        lost: what could not be carried over, a sentence each.
    """

    settings: dict[str, Json]
    subscriptions: tuple[dict[str, Json], ...] | None = None
    lost: tuple[str, ...] = ()
