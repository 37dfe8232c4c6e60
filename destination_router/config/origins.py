"""Reads origins (`https://vendor.example`), normalises them, and finds misspelt ones.

A configuration may send a vendor's requests elsewhere, to a simulator or a proxy. If it spelt the
vendor's origin in another way than the destination does, nothing would match, and test traffic
would reach the vendor.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

ORIGIN = r"^[hH][tT][tT][pP][sS]?://[^/?#@\s]+/?(?![\s\S])"
ORIGIN_MEANING = "Write an origin: https://host or http://host:port."

ANY_ORIGIN = "*"
"""In `origins`: every origin that has no entry of its own."""

_PORTS = {"http": ":80", "https": ":443"}


def is_origin(text: str) -> bool:
    """Whether a text is an origin: `https://vendor.example`, `http://127.0.0.1:9100`."""
    return re.match(ORIGIN, text) is not None


def plain_origin(url: str) -> str:
    """Normalise the origin of a URL: lower case, and no default port.

    `HTTPS://Vendor.example:443/` and `https://vendor.example/api` are `https://vendor.example`.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = parts.netloc.lower()
    return f"{scheme}://{host.removesuffix(_PORTS.get(scheme, ':'))}"


def plain_origins(origins: Mapping[str, str]) -> dict[str, str]:
    """Normalise the keys of `origins`, so that `plain_origin` of a URL finds them."""
    return {
        source if source == ANY_ORIGIN else plain_origin(source): target.rstrip("/")
        for source, target in origins.items()
    }


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine. Such requests never take a proxy."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def strange_origin(source: str, known: Collection[str]) -> str | None:
    """Say what is wrong with an origin in `origins`; None if a connection sends to it.

    Args:
        source: the origin, as written in the configuration.
        known: the origins that connections send to.
    """
    if source == ANY_ORIGIN or plain_origin(source) in {plain_origin(origin) for origin in known}:
        return None
    host = urlsplit(source).netloc.lower()
    near = [origin for origin in known if urlsplit(origin).netloc == host]
    near = near or difflib.get_close_matches(plain_origin(source), known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"it sends to {', '.join(known)}"
    return f"no connection sends to {source!r}; {meant}"
