"""Whether HTTP can carry a request at all. What it cannot is found before anything is sent.

RFC 9110: methods and header names are tokens (5.6.2, 9.1); a header's value is visible characters
with blanks and tabs between them (5.5), here of ASCII only, which every vendor reads the same way.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
_URL = re.compile(r"https?://[^\x00-\x20\x7f/?#\\]+([/?#][^\x00-\x20\x7f]*)?")


def unsendable(method: str, url: str, headers: Mapping[str, str]) -> str | None:
    """Say what HTTP cannot carry of a request, without any value, or None."""
    if problem := _wrong_target(method, url):
        return problem
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            return "has a header whose name is no token of RFC 9110"
        if not _VALUE.fullmatch(value):
            return f"has a header {name} whose value is not visible ASCII without line ends"
    return None


@functools.lru_cache(maxsize=1024)
def _wrong_target(method: str, url: str) -> str | None:
    """Most destinations have a handful of targets, so they are judged once."""
    if not _TOKEN.fullmatch(method):
        return "has a method that is none"
    if not _is_url(url):
        return "has a URL that is not http(s)://host/path without blanks"
    return None


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and _URL.fullmatch(url) is not None
