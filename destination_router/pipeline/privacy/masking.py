"""Masks identifiers with a keyed hash: the same person always becomes the same value.

A masked identifier is `v2_` and the 64 hexadecimal digits of an HMAC-SHA-256 with version 2 of the
connection's keys. It hashes the plain form of the identifier: without blanks around it, and an
e-mail address in lower case. You can compute it with the key alone:

    printf %s ada@example.com | openssl dgst -sha256 -hmac "$MASKING_KEY_2"

Why this form: 67 characters and a few are a valid identity wherever 255 are; letters that are all
lower case stay apart where a vendor ignores case; the version tells which key made a value.

New events are masked with the newest key. `mask_all_versions` gives what any of the keys would
have made of an identifier: what to look for where its user shall be deleted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.placeholders import PLACEHOLDER_IDS
from destination_router.contract.records import Json
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.references import resolve_reference

LEAST_KEY_CHARACTERS = 32
"""A key of 32 random hexadecimal digits has 128 bits, which nobody can guess."""

PLACEHOLDERS: Final = frozenset({"", *PLACEHOLDER_IDS})
"""What senders write when they know no user. Nobody's identifier, so it stays as it is: masked, it
would look like a person, and no destination could tell any more that it must not merge them."""

_BLOCK = 64
_VERSION = re.compile("v[1-9][0-9]{0,5}")
_MASKED = re.compile("v[0-9]+_[0-9a-f]{64}")


class MaskingKeys:
    """The keys of a connection, by version. No representation shows them.

    Args:
        keys: for each version, a number from 1, its key; at least one.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self.versions: Final = tuple(sorted(keys, reverse=True))
        """The newest first."""
        self._keys = [(f"v{version}_", keys[version]) for version in self.versions]
        self._ready = [(prefix, _Hmac(key)) for prefix, key in self._keys]
        self._newest_prefix, self._newest = self._ready[0]
        self._message_ids = _Hmac(_derived(self._keys[0][1], "message id"))
        self._seals: dict[str, _Hmac] = {}

    def __repr__(self) -> str:
        return f"MaskingKeys(versions={self.versions})"

    def mask(self, identifier: str) -> str:
        """Mask an identifier with the newest key. A placeholder only takes its plain form."""
        plain = plain_identifier(identifier)
        if plain in PLACEHOLDERS:
            return plain
        return self._newest_prefix + self._newest.hex(_bytes(plain))

    def mask_once(self, identifier: str) -> str:
        """Mask an identifier, unless it is already masked with any version."""
        return identifier if _MASKED.fullmatch(identifier) else self.mask(identifier)

    def mask_all_versions(self, identifier: str) -> tuple[str, ...]:
        """Mask an identifier with every key, the newest first: all forms in which it was sent."""
        plain = plain_identifier(identifier)
        if plain in PLACEHOLDERS:
            return (plain,)
        return tuple(prefix + hmac_.hex(_bytes(plain)) for prefix, hmac_ in self._ready)

    def mask_message_id(self, message_id: str) -> str:
        """Turn a message's id into a UUID that reveals nothing but still is an idempotency key.

        With a key derived from the newest, so that an id made from a user's does not equal the
        user's masked one. A UUID, because that is what every vendor takes for such a key.
        """
        digits = self._message_ids.hex(_bytes(message_id))
        variant = "89ab"[int(digits[16], 16) & 3]  # RFC 9562: version 4, variant 10
        return (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
        )

    def seal(self, purpose: str, content: bytes) -> str:
        """Sign our own content, which comes back later, for one purpose."""
        ready = self._seals.get(purpose)
        if ready is None:
            ready = self._seals[purpose] = _Hmac(_derived(self._keys[0][1], purpose))
        return self._newest_prefix + ready.hex(content)

    def is_sealed(self, purpose: str, content: bytes, seal: str) -> bool:
        """Tell whether we signed the content with any of the keys."""
        return any(
            hmac.compare_digest(
                prefix + hmac.digest(_derived(key, purpose), content, "sha256").hex(), seal
            )
            for prefix, key in self._keys
        )


def _is_email(text: str) -> bool:
    """Tell whether a text has the form `name@domain.tld`, in linear time."""
    name, at, domain = text.partition("@")
    if not at or not name or "@" in domain or len(text.split()) > 1:
        return False
    return "." in domain[1:-1]


def plain_identifier(identifier: str) -> str:
    """Unify the spellings of an identifier, for the hash and for deletion.

    It removes blanks around it. An e-mail address, which people type in any casing, and a
    placeholder become lower case. Any other identifier keeps its casing, because vendors
    distinguish `aB` from `Ab`.
    """
    trimmed = identifier.strip()
    lowered = trimmed.lower()
    if lowered in PLACEHOLDERS or _is_email(trimmed):
        return lowered
    return trimmed


def masking_keys(config: ConnectionConfig) -> MaskingKeys | None:
    """Read the keys with which a connection masks identifiers; None if it has none.

    A connection's own keys replace all of the router's.

    Raises:
        SettingsError: one is missing or too short, by its path: `privacy.keys.v1`.
    """
    raw, _ = keys_table(config)
    return None if raw is None else load_masking_keys(raw, "privacy.keys")


def keys_table(config: ConnectionConfig) -> tuple[Json, str]:
    """Find the table of keys with which a connection masks identifiers.

    Returns:
        The table with unresolved references, or None; and its path.
    """
    own, shared = config.privacy, config.shared.privacy
    if "keys" in own:
        return own["keys"], "[connections.privacy.keys]"
    return shared.get("keys"), "[privacy.keys]"


def load_masking_keys(raw: Json, path: str) -> MaskingKeys:
    """Read the table of keys: `{v1 = {env = "MASKING_KEY_1"}, v2 = {file = "/run/secrets/key"}}`.

    Args:
        raw: as configured, references unresolved. A key that stands there itself is refused: the
            file would be the leak.
        path: of the table in the configuration, for problems.

    Raises:
        SettingsError: with every problem. It quotes no key.
    """
    if not isinstance(raw, dict) or not raw:
        detail = 'write a table: v1 = {env = "MASKING_KEY_1"}'
        raise SettingsError([Problem(path, detail)])
    problems: list[Problem] = []
    keys: dict[int, bytes] = {}
    for name, value in raw.items():
        where = f"{path}.{name}"
        if not _VERSION.fullmatch(name):
            problems.append(Problem(where, "name keys by version: v1, v2, ..."))
        elif problem := _key_problem(value, where):
            problems.append(problem)
        else:
            keys[int(name[1:])] = _bytes(resolve_reference(value, where))
    problems += _repeated(keys, path)
    if problems:
        raise SettingsError(problems)
    return MaskingKeys(keys)


def _key_problem(value: Json, where: str) -> Problem | None:
    if not isinstance(value, dict):
        return Problem(where, 'write {env = "NAME"} or {file = "PATH"}, never the key itself')
    try:
        key = resolve_reference(value, where)
    except SettingsError as error:
        return error.problems[0]
    if not isinstance(key, str):
        return Problem(where, 'write {env = "NAME"} or {file = "PATH"}')
    if len(key) < LEAST_KEY_CHARACTERS:
        return Problem(where, f"a key has at least {LEAST_KEY_CHARACTERS} characters")
    return None


def _repeated(keys: Mapping[int, bytes], path: str) -> Sequence[Problem]:
    first: dict[bytes, int] = {}
    return [
        Problem(f"{path}.v{version}", f"is the same key as v{first[key]}; make a new one")
        for version, key in sorted(keys.items())
        if first.setdefault(key, version) != version
    ]


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) that hashes the key only once, in half the time of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def hex(self, content: bytes) -> str:
        """Hash content, as hexadecimal digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return outer.hexdigest()


def _derived(key: bytes, purpose: str) -> bytes:
    """Derive a key for another purpose, which reveals nothing about this one."""
    return hmac.digest(key, b"destination-router: " + purpose.encode(), "sha256")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
