"""The signature of a body: an HMAC of the very bytes that are sent, before any gzip.

Segment's webhook signs with a hex-encoded HMAC of SHA-1 in `X-Signature`
[segment.com/docs/connections/destinations/catalog/actions-webhook]. Of a batch it signs the first
event alone [support.twilio.com, How Segment Computes x-signature for Batched Webhooks]; here every
byte of a batch counts.
"""

from __future__ import annotations

import base64
import hmac

import msgspec

from destination_router import HttpRequest
from webhook_destination.settings import Signature


def signed(request: HttpRequest, signature: Signature | None) -> HttpRequest:
    """Put the signature of a request's body into its header, in place of any that is there."""
    if signature is None or request.content is None:
        return request
    headers = {**request.headers, signature.header: _value(request.content, signature)}
    return msgspec.structs.replace(request, headers=headers)


def unsigned_headers(request: HttpRequest, signature: Signature | None) -> dict[str, str]:
    """Give a request's headers without the signature, which differs with every body."""
    own = "" if signature is None else signature.header
    return {name: value for name, value in request.headers.items() if name != own}


def _value(body: bytes, signature: Signature) -> str:
    digest = hmac.digest(signature.secret.encode(), body, signature.algorithm)
    text = digest.hex() if signature.encoding == "hex" else base64.b64encode(digest).decode()
    return signature.prefix + text
