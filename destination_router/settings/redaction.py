"""Writes a request for people, logs and dead letters: as it goes out, with every secret hidden."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection
from functools import cached_property, lru_cache
from html.entities import html5
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from destination_router.contract.records import BasicAuth, BearerAuth, HttpRequest, Json
from destination_router.settings.words import HIDDEN

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

_SEARCHED_BYTES = 4
"""A shorter secret is not searched for in Base64, where it could stand by chance."""

SEARCHED_CHARACTERS = 8
"""A shorter secret is not searched for, because `1` is in every price. It is hidden only where a
name says what it is: a header, a parameter or a member called `token` or `api_key`."""

_CREDENTIAL = re.compile("key|token|secret|passw|credential|signature|auth", re.IGNORECASE)

_MOST_LAYERS = 8
_MARKS = frozenset("%\\&")
"""A text without these characters can hold an encoded secret only as Base64 or hexadecimal."""

_ODDLY_WRITTEN = re.compile(r"[:,\[]-?(?:[0-9][0-9.]*e|0\.0000)")
"""Numbers that msgspec and Python write differently: `1e16`, `1e+16`; `0.00001`, `1e-05`."""

_JSON_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\([\s\S])")
_BACKSLASHES = r"\\{1,16}"
"""A bound, because a long row would be searched again from each of its places."""
_CHARACTER_NUMBER = re.compile("&#0*([0-9]{1,8})[0-9]*")
"""No character has more digits; Python reads no number of more than 4,300."""

_UNITS = re.compile("u([0-9a-fA-F]{4})")
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_ESCAPED = {written: meant for meant, written in _ESCAPES.items()}
_ENTITIES: dict[str, list[str]] = {}
for _name, _meant in html5.items():
    if len(_meant) == 1 and _name.endswith(";"):
        _ENTITIES.setdefault(_meant, []).append(_name[:-1])


def hide(value: Json, secrets: Collection[str]) -> Json:
    """Copy a JSON value with every occurrence of a secret replaced, in keys too."""
    return _hide(value, _known(frozenset(secrets))) if secrets else value


def shown_request(request: HttpRequest, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Make a request safe for a person or a log to see.

    Args:
        request: the request.
        secrets: the values to hide: `secret_values` of the connection's settings.

    Returns:
        `{"method", "url", "params", "headers", "json" | "form" | "content"}`; the body's key is
        there only if the request has that body. Bytes are shown as text, with other bytes escaped.
        Headers show their type and whether they are compressed.
    """
    parts: dict[str, Json] = {
        "url": request.url,
        "params": _shown_params(request) if request.params else {},
        "headers": _shown_headers(request),
    }
    if request.json is not None:
        parts["json"] = request.json
    if request.form is not None:
        parts["form"] = dict(request.form)
    if request.content is not None:
        parts["content"] = request.content.decode("utf-8", "backslashreplace")
    if not secrets or not _may_hold(parts, _known(frozenset(secrets))):
        return {"method": request.method, **parts}
    # Part by part: a secret that happens to be the word `json` must not rename the part.
    return {"method": request.method, **{name: hide(part, secrets) for name, part in parts.items()}}


def _may_hold(parts: Json, secrets: _Secrets) -> bool:
    """Tell quickly whether a value may hold a secret, by its whole text."""
    if secrets.has_short_ones:
        return True
    try:
        text = msgspec.json.encode(parts).decode()
    except (ValueError, TypeError, OverflowError):
        return True
    # A number may be written otherwise here than where it is shown; and what is encoded is looked
    # for value by value.
    is_odd = _ODDLY_WRITTEN.search(text) is not None
    return is_odd or not _MARKS.isdisjoint(text) or secrets.stand_in(text)


def _shown_params(request: HttpRequest) -> dict[str, Json]:
    return {n: v if isinstance(v, str) else list(v) for n, v in request.params.items()}


def _shown_headers(request: HttpRequest) -> dict[str, str]:
    headers: dict[str, str] = {}
    if request.headers:  # most have none, and each request that is traced comes here
        headers = {
            name: HIDDEN if name.lower() in _CREDENTIAL_HEADERS else value
            for name, value in request.headers.items()
        }
    if request.content is not None and not any(n.lower() == "content-type" for n in headers):
        headers["Content-Type"] = request.content_type
    if request.gzip:
        headers["Content-Encoding"] = "gzip"
    match request.auth:
        case BasicAuth():
            headers["Authorization"] = f"Basic {HIDDEN}"
        case BearerAuth():
            headers["Authorization"] = f"Bearer {HIDDEN}"
    return headers


class _Secrets:
    """Finds secrets in texts."""

    def __init__(self, secrets: frozenset[str]) -> None:
        # The longest first, or a secret that begins another would leave its end to be read.
        long = {secret for secret in secrets if len(secret) >= SEARCHED_CHARACTERS}
        self._short = secrets - long
        self._secrets = sorted(long, key=len, reverse=True)
        self._encodings = [text for secret in self._secrets for text in _encodings(secret)]
        self._texts = [*self._secrets, *self._encodings]
        self._shortest = min(map(len, self._texts), default=0)
        # A form writes a blank as a plus: where there are blanks, the two are taken for one.
        self._blank = [secret.replace("+", " ") for secret in long if " " in secret]

    @property
    def has_short_ones(self) -> bool:
        """Whether some are too short to search for, so that only names reveal them."""
        return bool(self._short)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        spelt = ["".join(map(_spelt, secret)) for secret in self._secrets]
        spelt += ["".join(map(_spelt_in_base64, text)) for text in self._encodings]
        return re.compile("|".join(spelt))

    def is_short_one(self, name: object, value: Json) -> bool:
        """Tell whether a value under this name is a secret that is too short to search for."""
        if not self._short or not isinstance(name, str) or isinstance(value, (bool, dict, list)):
            return False
        return str(value) in self._short and _CREDENTIAL.search(name) is not None

    def hidden_in(self, text: str) -> str:
        """Replace every secret in a text, or the whole text if the place of one is unclear."""
        if not self.are_in(text):
            return text
        found = self._pattern.sub(HIDDEN, text)
        return HIDDEN if self.are_in(found.replace(HIDDEN, "\0")) else found

    def are_in(self, text: str) -> bool:
        """Tell whether a text contains a secret, in clear or encoded."""
        if not self._texts or len(text) < self._shortest:
            return False
        if self.stand_in(text):
            return True
        if _MARKS.isdisjoint(text):
            return False
        # Character by character first: what stands around a secret need not be encoded as it is.
        if self._pattern.search(text) is not None:
            return True
        for _ in range(_MOST_LAYERS):
            decoded = _decoded(text)
            if decoded == text:
                return False
            text = decoded
            if self.stand_in(text):
                return True
        return True  # nobody encodes so often; who does shall not be read

    def stand_in(self, text: str) -> bool:
        """Tell whether a text contains a secret in clear, in Base64 or as hexadecimal."""
        return any(map(text.__contains__, self._texts)) or (
            bool(self._blank) and any(map(text.replace("+", " ").__contains__, self._blank))
        )


@lru_cache
def _known(secrets: frozenset[str]) -> _Secrets:
    return _Secrets(secrets)


def _decoded(text: str) -> str:
    """Undo one layer of the escapes of URLs, JSON and HTML."""
    if "&" in text:
        text = html.unescape(_CHARACTER_NUMBER.sub(r"&#\1", text))
    if "\\" in text:
        text = _JSON_ESCAPES.sub(_unescaped, text)
    if "%" in text:
        try:
            text = unquote(text, errors="surrogatepass")
        except UnicodeDecodeError:
            text = unquote(text)
    return text


def _unescaped(found: re.Match[str]) -> str:
    units = _UNITS.findall(found[0])
    if units:
        octets = bytes.fromhex("".join(units))
        return octets.decode("utf-16-be", "surrogatepass")
    return _ESCAPED.get(found[1], found[1])


def _encodings(secret: str) -> list[str]:
    """List the encodings of a whole secret: Base64, once or twice, and hexadecimal."""
    content = secret.encode("utf-8", "surrogatepass")  # an environment may hold any bytes
    texts = set()
    for credentials in (content, content + b":", b":" + content):
        texts.add(base64.b64encode(credentials).decode())
    if len(content) >= _SEARCHED_BYTES:
        written = {content, quote(content, safe="").encode(), json.dumps(secret)[1:-1].encode()}
        cores = set[str]().union(*map(_base64_cores, written))
        long = (core.encode() for core in cores if len(core) >= 2 * _SEARCHED_BYTES)
        texts |= cores.union(*map(_base64_cores, long))
        texts |= {content.hex(), content.hex().upper()}
    return sorted(texts, key=len, reverse=True)


def _spelt(character: str) -> str:
    r"""Write a pattern for a character with the escapes of URLs, JSON and HTML, also nested ones.

    `%2f` and `%252F`; `\/`, `\u002f` and that escaped again; `&amp;`, `&#x27;`, `&amp;#39;`.
    """
    code = ord(character)
    octets = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    spelt = [
        re.escape(character),
        "".join(f"%(?:25)*(?i:{octet:02x})" for octet in octets),
        "".join(rf"{_BACKSLASHES}u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4)),
    ]
    if character in _ESCAPES:
        spelt.append(rf"{_BACKSLASHES}{_ESCAPES[character]}")
    elif not character.isalnum():  # `\n` is no n
        spelt.append(rf"{_BACKSLASHES}{re.escape(character)}")
    names = "".join(f"|{name}" for name in _ENTITIES.get(character, ()))
    spelt.append(rf"&(?:amp;)*(?:#0*{code}(?![0-9])|#(?i:x0*{code:x})(?![0-9a-fA-F]){names});?")
    if character == " ":
        spelt.append(r"\+")
    return f"(?:{'|'.join(spelt)})"


def _spelt_in_base64(character: str) -> str:
    return character if character.isalnum() else _spelt(character)


def _base64_cores(content: bytes) -> set[str]:
    """List the forms of a secret in the Base64 of a longer text, as in `user:password`.

    The form depends on where in a group of three bytes the secret starts. Characters at its edges,
    which also depend on the neighbours, are left out.
    """
    cores = set()
    for offset, shared in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(offset) + content).decode()
        core = encoded[shared : (offset + len(content)) * 8 // 6]
        cores |= {core, core.replace("+", "-").replace("/", "_")}
    return cores


def _hide(value: Json, secrets: _Secrets) -> Json:
    if isinstance(value, str):
        return secrets.hidden_in(value)
    if isinstance(value, dict):
        return {
            _hide(key, secrets): HIDDEN if secrets.is_short_one(key, item) else _hide(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_hide(item, secrets) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            texts = _number_texts(value)
        except ValueError:  # more digits than Python writes
            return HIDDEN
        return HIDDEN if any(map(secrets.are_in, texts)) else value
    return value


def _number_texts(number: Any) -> list[str]:
    """Write a number as JSON does, and a float that is whole as an integer too."""
    if isinstance(number, float) and number.is_integer():
        return [str(number), str(int(number))]
    return [str(number)]
