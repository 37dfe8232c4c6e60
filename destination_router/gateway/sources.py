"""Who may send: the sources of a router.toml, each known by its write keys.

Who sends with a key that nobody has is told so, and an operator learns of it: a line in the log, at
most one a minute for each beginning of a key.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from destination_router.config.router_toml import DEFAULT_SOURCE, SourceConfig
from destination_router.contract.records import Reject

SHOWN_CHARACTERS = 4
"""How much of an unknown write key is logged: enough to find a mistyped one, too little to use."""

_MOST_BEGINNINGS = 200
_EVERY = 60.0

_log = logging.getLogger(__name__)


class Source(msgspec.Struct, frozen=True):
    """Who sent a request: its name, and whether it may send."""

    name: str
    enabled: bool = True

    def let_in(self) -> None:
        """Let it send.

        Raises:
            Reject: `source_disabled`.
        """
        if not self.enabled:
            raise Reject("source_disabled", "the source may not send")


class Sources:
    """The sources that may send here; may be replaced while requests come in.

    Args:
        configs: of the router.toml.
        clock: rises by seconds.
    """

    def __init__(
        self, configs: Iterable[SourceConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._unknown: dict[str, tuple[float, int]] = {}
        self._keys: tuple[tuple[bytes, Source], ...] = ()
        self.replace(configs)

    @classmethod
    def of_keys(cls, write_keys: Iterable[str]) -> Sources:
        """Make the one source that `[gateway] write_keys` is."""
        return cls([SourceConfig(name=DEFAULT_SOURCE, write_keys=tuple(write_keys))])

    def replace(self, configs: Iterable[SourceConfig]) -> None:
        """Let other sources in from the next request on."""
        self._keys = tuple(
            (key.encode(), Source(config.name, config.enabled))
            for config in configs
            for key in config.write_keys
            if key.strip()  # a key that was left blank is no open door
        )

    def find(self, write_key: bytes) -> Source:
        """Tell whose a write key is; blanks around it do not count.

        Raises:
            Reject: `invalid_write_key`: it is nobody's.
        """
        given = write_key.strip()
        # Every key is compared, so that the time it takes tells nothing about any of them.
        found = [source for key, source in self._keys if hmac.compare_digest(given, key)]
        if not found:
            self._tell_of(given)
            raise Reject("invalid_write_key", "no source has this write key")
        return found[0]

    def admit(self, write_key: bytes) -> Source:
        """Let a sender in.

        Raises:
            Reject: `invalid_write_key`, or `source_disabled`.
        """
        source = self.find(write_key)
        source.let_in()
        return source

    def _tell_of(self, write_key: bytes) -> None:
        """Log a key that nobody has, once a minute for each beginning, with how often it came."""
        beginning = write_key[:SHOWN_CHARACTERS].decode("ascii", "replace")
        if beginning not in self._unknown and len(self._unknown) >= _MOST_BEGINNINGS:
            beginning = "others"
        now = self._clock()
        told_at, count = self._unknown.get(beginning, (float("-inf"), 0))
        if now - told_at < _EVERY:
            self._unknown[beginning] = (told_at, count + 1)
            return
        self._unknown[beginning] = (now, 0)
        _log.warning("unknown_write_key", extra={"begins": beginning, "count": count + 1})
