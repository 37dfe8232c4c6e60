"""Finds dead letters that can be replayed. A masked one needs the key of its seal.

Without that key, the router would not recognise it, and would make an empty letter of it. So this
checks before a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Json, Reject
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.pipeline.privacy.config import is_private
from destination_router.pipeline.privacy.masking import MaskingKeys, keys_table, load_masking_keys
from destination_router.pipeline.privacy.sealing import is_marked, opened, seal_version
from destination_router.settings.errors import SettingsError


class Replayable:
    """Checks letters against the keys of a router.toml's connections.

    Args:
        connections: as configured. Their keys are read only if a letter needs them.
    """

    def __init__(self, connections: Iterable[ConnectionConfig]) -> None:
        self._connections = {connection.name: connection for connection in connections}
        self._keys: dict[tuple[str, int], MaskingKeys | str] = {}

    def sort_out(
        self, letters: Sequence[DeadLetter]
    ) -> tuple[list[DeadLetter], dict[str, list[DeadLetter]]]:
        """Split letters into those that can be replayed and, by reason, those that cannot."""
        good: list[DeadLetter] = []
        refused: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            reason = self.refusal(letter)
            if reason is None:
                good.append(letter)
            else:
                refused.setdefault(reason, []).append(letter)
        return good, refused

    def refusal(self, letter: DeadLetter) -> str | None:
        """Say why a letter cannot be replayed, and name the key that it needs; None if it can."""
        if not is_marked(letter.body):
            return None
        name, version = letter.connection, seal_version(letter.body)
        config = self._connections.get(name)
        if config is not None and is_private(config):
            if version is None:
                return f"Whatever they were, {name!r} has not masked them: they have no seal of it."
            why = self._key_problem(config, version, letter.body)
            return None if why is None else f"{name!r} has masked them with its key {why}."
        if version is None:
            return None  # a sender may call a field as it likes
        if config is None:
            return f"They are masked for {name!r}, which the router.toml does not have."
        return (
            f"{name!r} has masked them, and is not in HIPAA mode any more: they would be taken for "
            "events that have just come in, and transformed twice."
        )

    def _key_problem(self, config: ConnectionConfig, version: int, body: bytes) -> str | None:
        if (config.name, version) not in self._keys:
            self._keys[config.name, version] = _read_key(config, version)
        keys = self._keys[config.name, version]
        if isinstance(keys, str):
            return keys
        try:
            opened(body, config.name, keys)
        except Reject:
            table, where = keys_table(config)
            reference = _written(table[f"v{version}"])
            return f"v{version}, and {where} v{version} = {reference} is another one"
        return None


def _read_key(config: ConnectionConfig, version: int) -> MaskingKeys | str:
    """Read one of a connection's keys, or say why that fails."""
    name = f"v{version}"
    table, where = keys_table(config)
    if not isinstance(table, Mapping) or name not in table:
        return f"{name}, which {where} does not have: add it again"
    try:
        return load_masking_keys({name: table[name]}, where)
    except SettingsError as error:
        return f"{name}, and {where} {name} cannot be used: {error.problems[0].detail}"


def _written(reference: Mapping[str, Json]) -> str:
    """Write a reference as in the file. The name of a variable or file is not secret."""
    ((kind, name),) = reference.items()
    return f"{{{kind} = {msgspec.json.encode(name).decode()}}}"
