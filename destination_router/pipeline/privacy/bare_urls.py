"""Reduces a URL to what may pass by default: scheme, host, port and path. Fails closed. Pure.

It removes query, fragment, matrix parameters and credentials, in any spelling. Browsers read more
than the standard allows: leading blanks, line ends within a scheme, backslashes for slashes, one
slash or three [https://url.spec.whatwg.org/#url-parsing]. A reader may also decode
percent-encoding. If the text is not a plain URL or path after that, only its plain beginning
passes.
"""

from __future__ import annotations

import re

_NAMES = re.compile(r"(?i)(?:url|uri|href|link|path|referr?er)$")

_HEX = "[0-9A-Fa-f]"
_PLAIN_PATH = rf"(?:[\w.~!$'()*+,=:/-]|%(?![01]|2[356Ff]|3[ABFabf]|40|5[Cc]|7[Ff]){_HEX}{{2}})*"
_PLAIN = re.compile(
    rf"((?:https?://[a-zA-Z0-9.-]+(?::[0-9]{{1,5}})?(?=[/?#]|\Z))?(?:/(?!/){_PLAIN_PATH})?)(?:[?#]|\Z)",
    re.ASCII,
)
"""The common form of URLs, which needs no second look."""

_TOKEN = re.compile(rf"%(?:25)*{_HEX}{{2}}|[\s\S]")
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls, a byte-order mark and joiners: invisible, and browsers skip some of them."""

_FULL_WIDTH = {chr(ord(mark) + 0xFEE0): mark for mark in "?#;&@:/\\%"}
"""Characters that some keyboards write in place of a URL's marks."""

_QUERY = re.compile("[?#]")
_FORM = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*:)?(?P<slashes>[/\\]*)")
_SEGMENT = re.compile(r"[^/\\]*")
_HOST = re.compile(r"(?:[\w.~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_PORT = re.compile(r"[0-9]{1,5}(?![^/])")
_NO_PATH = re.compile(r"[;&%\\]|//[^/]*@|(?<=/)[^/:]*:[^/]*@")
"""The beginning of parameters, of multiple encoding, or of another URL within the path."""

_SUSPECT = re.compile(r"[?#@;&%\\\uff1f\uff03\uff20\uff1b\uff06\uff05]")
_LEADS = re.compile(r"\W*(?:[a-zA-Z][a-zA-Z0-9+.-]*:)*[/\\]")
_BLANKS = re.compile(r"(\s+)")
_ENCODED_COLON = re.compile("%(?:25)*3[aA]")


def is_url_name(name: str) -> bool:
    """Tell whether a field with this name holds URLs or paths of any form."""
    return _NAMES.search(name) is not None


def is_suspect(text: str) -> bool:
    """Tell whether a text may contain a part of a URL that may not pass."""
    return _SUSPECT.search(text) is not None


def is_url(text: str) -> bool:
    """Tell by its form whether a text is a URL or begins with one."""
    first, *_ = _UNSEEN.sub("", text).split(maxsplit=1) or [""]
    query = first.find("?")
    return (
        _LEADS.match(first) is not None
        or "://" in first
        or -1 < first.find(":") < first.rfind("@")
        or -1 < query < first.rfind("=")
        or _ENCODED_COLON.search(first) is not None
    )


def with_bare_urls(text: str) -> str:
    """Reduce each word of a text that is a URL."""
    words = _BLANKS.split(text)
    bare = "".join(bare_url(word) if "://" in word else word for word in words)
    return text if bare == text else bare


def bare_url(text: str) -> str:
    """Reduce a URL; empty if not even its beginning is clear.

    A path passes whole. Nothing of an address that is not a location (`mailto:`, `tel:`) passes.
    """
    plain = _PLAIN.match(text)
    if plain is not None:
        return text if plain.end(1) == len(text) else plain[1]
    # Token by token as it will be read, so that what passes is cut out of the text as it came.
    tokens: list[str] = _TOKEN.findall(_UNSEEN.sub("", text).strip())
    read = "".join(map(_read, tokens))
    end = _QUERY.search(read)
    read = read if end is None else read[: end.start()]
    bare = "".join("".join(tokens[start:stop]) for start, stop in _passing(read, tokens))
    return text if bare == text else bare


def _read(token: str) -> str:
    """Decode a character, even if it is percent-encoded several times."""
    if len(token) == 1:
        return _FULL_WIDTH.get(token, token)
    code = int(token[-2:], 16)
    return chr(code) if code < 128 else "x"  # noqa: PLR2004 -- a byte of some letter


def _passing(read: str, tokens: list[str]) -> list[tuple[int, int]]:
    """Find the parts of a URL that pass, as ranges.

    Args:
        read: the URL, decoded, without its query.
        tokens: each of its characters as it came.
    """
    form = _FORM.match(read)
    assert form is not None  # noqa: S101 -- it matches anything
    scheme, slashes = form["scheme"] or "", len(form["slashes"])
    start = form.end()
    if scheme and not slashes:
        named = scheme == "localhost:" or "." in scheme
        is_port = named and _PORT.match(read, start) is not None
        return [(0, _end_of_path(read, start))] if is_port else []
    first = _SEGMENT.match(read, start)
    assert first is not None  # noqa: S101 -- it matches anything
    if not scheme and slashes < 2:  # noqa: PLR2004 -- a path
        return [] if slashes == 0 and "@" in first[0] else [(0, _end_of_path(read, 0))]
    host, end = start + first[0].rfind("@") + 1, first.end()
    # A backslash and an encoded slash end a host for some, and stand in credentials for others.
    is_unclear = tokens[end : end + 1] != ["/"] and "@" in read[end:]
    if is_unclear or _HOST.fullmatch(read, host, end) is None:
        return [(0, start)]
    return [(0, start), (host, _end_of_path(read, end))]


def _end_of_path(read: str, start: int) -> int:
    found = _NO_PATH.search(read, start)
    return len(read) if found is None else found.start()
