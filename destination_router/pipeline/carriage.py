"""Whether HTTP can carry a request at all. What it cannot is found before anything is sent.

RFC 9110: methods and header names are tokens (5.6.2, 9.1); a header's value is visible characters
with blanks and tabs between them (5.5), here of ASCII only, which every vendor reads the same way.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

from destination_router.model import HttpRequest

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
_URL = re.compile(r"https?://[^\x00-\x20\x7f/?#\\]+([/?#][^\x00-\x20\x7f]*)?")


def unsendable(request: HttpRequest) -> str | None:
    """Say what HTTP cannot carry, without any value, or None."""
    if not _is_method(request.method):
        return "has a method that is none"
    if not _is_url(request.url):
        return "has a URL that is not http(s)://host/path without blanks"
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name):
            return "has a header whose name is no token of RFC 9110"
        if not _VALUE.fullmatch(value):
            return f"has a header {name} whose value is not visible ASCII without line ends"
    return None


@functools.cache
def _is_method(method: str) -> bool:
    return _TOKEN.fullmatch(method) is not None


@functools.lru_cache(maxsize=1024)
def _is_url(url: str) -> bool:
    """Most destinations have a handful of URLs, so they are judged once."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and _URL.fullmatch(url) is not None
