"""Turns the tables `[privacy]` and `[connections.privacy]` into what a connection may see.

Any problem in them stops the connection: an unreadable list, a missing key or an empty rule never
reduces the protection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.contract.records import Json
from destination_router.faults import file_problem
from destination_router.pipeline.privacy.allowlists import Rule, both, parse_rule
from destination_router.pipeline.privacy.hipaa import DEFINED, Allowed, Privacy
from destination_router.pipeline.privacy.masking import MaskingKeys, masking_keys
from destination_router.settings.documents import DocumentError, read_document
from destination_router.settings.errors import Problem, SettingsError

HIPAA = "hipaa"

NAMES = ("events", "pages", "screens")
"""Lists of names, each in full."""

PATHS = ("properties", "traits", "group_traits", "context", "integrations", "root")
"""Lists of paths into a part of a message."""

MEANINGS: dict[str, str] = {
    "mode": (
        "`hipaa`: every connection, or this one, is in HIPAA mode: it passes on what the lists "
        "name, and masks ids. Without it, nothing is protected, and lists are an error."
    ),
    "keys": (
        "The keys that ids are masked with, by version, each a reference: "
        '`v1 = { env = "MASKING_KEY_1" }`. The newest masks. Required in HIPAA mode, here or for '
        "all; a connection's own keys come in the place of all of the router's."
    ),
    "allow": (
        'What may pass: a table of lists, or `{ file = "allow.toml" }`. Required in HIPAA mode, '
        "for all and for each connection: only what both name passes."
    ),
    "identifiers": (
        "Paths of fields that pass masked, as ids do, each with the name of its list: "
        '`["traits.email"]`.'
    ),
}
"""The keys of `[privacy]` and `[connections.privacy]`, with their meanings."""

LIST_MEANINGS: dict[str, str] = {
    "events": "Names of track events, each in full. Other events do not go out.",
    "pages": (
        "Names of pages, each in full; an empty text is for pages without a name. Other pages do "
        "not go out."
    ),
    "screens": "Names of screens, each in full. Other screens do not go out.",
    "properties": (
        "Paths into the properties of track, page and screen. A page's `category` passes as the "
        "property `category` does; the property `name` of a page or screen only if `pages` or "
        "`screens` lists its value."
    ),
    "traits": "Paths into the traits of users: an identify's, and `context.traits` of every call.",
    "group_traits": "Paths into the traits of groups: a company's `name` is not a person's.",
    "context": "Paths into the context, but for traits: `ip`, `device.id`, `page.url`.",
    "integrations": "Paths into what a message says to this connection: `session_id`.",
    "root": "Fields at a message's root that no call defines: `request_ip`.",
}
"""The lists of `allow`, with their meanings."""
_SHARED = "[privacy]"
"""The path of the router's own table, for problems."""


def is_private(config: ConnectionConfig) -> bool:
    """Tell whether a connection is in HIPAA mode, by itself or because all are."""
    return config.privacy.get("mode") == HIPAA or all_private(config.shared)


def all_private(shared: SharedConfig) -> bool:
    """Tell whether every connection of a router is in HIPAA mode."""
    return shared.privacy.get("mode") == HIPAA


def load_privacy(config: ConnectionConfig, plugin: str, names: Iterable[str]) -> Privacy | None:
    """Read what a connection may see; None if it is not in HIPAA mode.

    Args:
        config: the connection's, with the router's tables for all.
        plugin: the plugin's name.
        names: the connection's names in senders' `integrations`.

    Raises:
        SettingsError: with every problem and its path.
    """
    problems: list[Problem] = []
    own, shared = config.privacy, config.shared.privacy
    _check_table(own, "privacy.", problems)
    _check_table(shared, f"{_SHARED} ", problems)
    private = is_private(config)
    if not private and {"allow", "identifiers"} & own.keys():
        detail = f'is required: write "{HIPAA}", or nothing here is protected'
        problems.append(Problem("privacy.mode", detail))
    if not private:
        _refuse(problems)
        return None
    if config.client_side:
        detail = "browsers would send events around the protection: drop it, or privacy.mode"
        problems.append(Problem("clientSide", detail))
    keys = _keys(config, problems)
    mine = _Lists(own, "privacy.", problems)
    ours = _Lists(shared, f"{_SHARED} ", problems)
    _refuse(problems)
    assert keys is not None  # noqa: S101 -- else there was a problem
    return Privacy(_allowed(mine, ours), keys, plugin, names)


def load_allowed(config: ConnectionConfig) -> Allowed:
    """Read what a connection's allowlists let pass, without its keys. A missing list is empty.

    It is for the report, with which you make the first lists.

    Raises:
        SettingsError: a list that is there cannot be read.
    """
    problems: list[Problem] = []
    mine = _Lists({"allow": {}, **config.privacy}, "privacy.", problems)
    ours = _Lists({"allow": {}, **config.shared.privacy}, f"{_SHARED} ", problems)
    _refuse(problems)
    return _allowed(mine, ours)


class _Lists:
    """One allowlist: the names and the rules of each of its lists."""

    def __init__(self, table: Mapping[str, Json], where: str, problems: list[Problem]) -> None:
        allow = _allow_table(table, f"{where}allow", problems)
        self.names: dict[str, frozenset[str]] = {}
        self.rules: dict[str, list[Rule]] = {}
        for key in allow:
            if key not in (*NAMES, *PATHS):
                detail = f"is not known here; known: {', '.join((*NAMES, *PATHS))}"
                problems.append(Problem(f"{where}allow.{key}", detail))
        for name in NAMES:
            path = f"{where}allow.{name}"
            texts = _texts(allow.get(name, []), path, problems)
            if "*" in texts:
                problems.append(Problem(path, "write each name in full; * would let all pass"))
            self.names[name] = frozenset(texts)
        for name in PATHS:
            path = f"{where}allow.{name}"
            texts = _texts(allow.get(name, []), path, problems)
            self.rules[name] = [
                rule
                for index, text in enumerate(texts)
                for rule in _rules(text, f"{path}.{index}", problems, name)
            ]
        self._add_identifiers(table, f"{where}identifiers", problems)

    def _add_identifiers(
        self, table: Mapping[str, Json], where: str, problems: list[Problem]
    ) -> None:
        for index, text in enumerate(_texts(table.get("identifiers", []), where, problems)):
            part, _, path = text.partition(".")
            if part not in PATHS or not path:
                detail = f"begin with one of {', '.join(PATHS)}: traits.email"
                problems.append(Problem(f"{where}.{index}", detail))
            else:
                rules = _rules(path, f"{where}.{index}", problems, part, masked=True)
                self.rules[part].extend(rules)


def _allowed(mine: _Lists, ours: _Lists) -> Allowed:
    names = {name: mine.names[name] & ours.names[name] for name in NAMES}
    rules = {name: both(mine.rules[name], ours.rules[name]) for name in PATHS}
    return msgspec.convert({**names, **rules}, Allowed)


def _rules(
    text: str, where: str, problems: list[Problem], part: str, *, masked: bool = False
) -> Sequence[Rule]:
    try:
        rule = parse_rule(text, masked=masked)
    except ValueError as error:
        problems.append(Problem(where, str(error)))
        return ()
    root = rule.path.partition(".")[0]
    if part == "root" and root in DEFINED:
        problems.append(Problem(where, f"{root} is no other field: it has rules of its own"))
    elif part == "context" and root == "traits":
        problems.append(Problem(where, "a user's traits have their own list: traits"))
    else:
        return (rule,)
    return ()


def _check_table(table: Mapping[str, Json], where: str, problems: list[Problem]) -> None:
    for key in table:
        if key not in MEANINGS:
            detail = f"is not known here; known: {', '.join(MEANINGS)}"
            problems.append(Problem(f"{where}{key}", detail))
    if table.get("mode", HIPAA) != HIPAA:
        problems.append(
            Problem(f"{where}mode", f'must be "{HIPAA}"; without it, nothing is protected')
        )


def _keys(config: ConnectionConfig, problems: list[Problem]) -> MaskingKeys | None:
    try:
        keys = masking_keys(config)
    except SettingsError as error:
        problems.extend(error.problems)
        return None
    if keys is None:
        detail = 'is required in HIPAA mode, here or in [privacy]: v1 = {env = "MASKING_KEY_1"}'
        problems.append(Problem("privacy.keys", detail))
    return keys


def _allow_table(
    table: Mapping[str, Json], where: str, problems: list[Problem]
) -> Mapping[str, Json]:
    if "allow" not in table:
        detail = "is required: without it nothing passes; `privacy report` proposes one"
        problems.append(Problem(where, detail))
        return {}
    allow = table["allow"]
    if isinstance(allow, dict) and set(allow) == {"file"}:
        try:
            path = Path(allow["file"])
            allow = read_document(path, toml=path.suffix != ".json")
        except TypeError:
            problems.append(Problem(where, "file must be the name of a file"))
            return {}
        except DocumentError as error:
            problems.append(Problem(where, f"{allow['file']} {error}"))
            return {}
        except (OSError, ValueError) as error:
            problems.append(Problem(where, file_problem(allow["file"], error)))
            return {}
    if isinstance(allow, dict):
        return allow
    problems.append(Problem(where, 'write a table of lists, or {file = "allow.toml"}'))
    return {}


def _texts(value: Json, where: str, problems: list[Problem]) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    problems.append(Problem(where, "write a list of text"))
    return []


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
