"""What a receiver was told to expect: its side of the settings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What every request holds to.

    Attributes:
        method: `POST`, and so on.
        body: `json`, `ndjson` or `form`.
        basic: user name and password.
        bearer: a token.
        headers: those that every request has, by lower-case name.
        secret: of the signature; None: there is none.
        signature_header: where it stands.
        algorithm: `sha1`, `sha256` or `sha512`.
        encoding: `hex` or `base64`.
        prefix: what stands before it.
        max_events: in a batch; None: every request holds one event, and no list.
        max_bytes: of a batch, unpacked; None: any number.
    """

    method: str = "POST"
    body: str = "json"
    basic: tuple[str, str] | None = None
    bearer: str | None = None
    headers: Mapping[str, str] = {}
    secret: str | None = None
    signature_header: str = "X-Signature"
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    max_events: int | None = None
    max_bytes: int | None = None
