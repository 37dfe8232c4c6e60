"""URLs: where requests go, and where an event may have its own sent: the same host, always.

What is compared with the configured host is what is sent: a URL is taken apart once and built
again from its parts, so that no second reading finds another host in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

import msgspec

_IN_A_PATH = "/%:@!$&'()*+,;=~-._"
"""What stands in a path as it is (RFC 3986, 3.3), a percent sign of what is encoded included."""

_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A URL in its parts.

    Attributes:
        origin: `https://hooks.example`.
        path: encoded; empty or with a leading slash.
        query: in its order, decoded.
        text: the URL as it was written.
    """

    origin: str
    path: str
    text: str
    query: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        """The URL without its query."""
        return self.origin + self.path


class ForeignError(ValueError):
    """A URL that is none, or of another host."""


def parse_target(url: str) -> Target:
    """Take the configured URL apart.

    Raises:
        ValueError: its port is none; anything else the settings' schema has refused.
    """
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("webhookUrl: its port is no number from 0 to 65535") from None
    return _target(url, parts, f"{parts.scheme}://{parts.netloc}")


def target_of_event(configured: Target, full: str, more: str) -> Target:
    """Say where one event goes.

    Args:
        configured: where all others go.
        full: a URL of the same host, or a path on it, in place of the configured one; or empty.
        more: what is written behind that, as it is: a path, a query, or what continues one.

    Raises:
        ForeignError: that would be another host, or is no URL.
    """
    begin = f"{configured.origin}{full}" if full.startswith("/") else full
    try:
        text = (begin or configured.text) + more
        parts = urlsplit(text)
        if _host(parts) != _host(urlsplit(configured.origin)):
            raise ForeignError
    except ValueError:
        raise ForeignError from None
    return _target(text, parts, configured.origin)


def params_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str | tuple[str, ...]]:
    """Make parameters of pairs; one that comes several times keeps all its values."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    return {
        name: values[0] if len(values) == 1 else tuple(values) for name, values in found.items()
    }


def _target(text: str, parts: SplitResult, origin: str) -> Target:
    return Target(
        text=text,
        origin=origin,
        path=quote(parts.path, safe=_IN_A_PATH),
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _host(parts: SplitResult) -> tuple[str, str, int | None]:
    if parts.username is not None or parts.password is not None:
        raise ForeignError
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
