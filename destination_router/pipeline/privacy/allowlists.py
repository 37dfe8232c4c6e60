"""Allowlists: compiles the fields that may pass to one walk over an object. Default deny.

A path is `plan`, `address.city`, or `items.sku`, which applies to every item of a list. It lets a
scalar or a list of scalars pass, and nothing deeper. `items.*` lets everything below pass. Of a
URL, only scheme, host, port and path pass (`bare_urls`). `page.url?` lets the whole URL pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from destination_router.pipeline.normalise import number_text
from destination_router.pipeline.paths import UNDEFINED
from destination_router.pipeline.privacy.bare_urls import (
    bare_url,
    is_suspect,
    is_url,
    is_url_name,
    with_bare_urls,
)

_BELOW = ".*"
_WHOLE_URL = "?"

Pass = Callable[[Any], Any]
"""Takes a value, and returns the part that passes, or UNDEFINED."""


class Rule(msgspec.Struct, frozen=True):
    """The rule of one list for one path.

    Attributes:
        path: the path, without its marks.
        below: whether it stands for everything below the path.
        whole: whether a URL passes with its query.
        masked: whether the value passes only masked.
    """

    path: str
    below: bool = False
    whole: bool = False
    masked: bool = False


def parse_rule(text: str, *, masked: bool = False) -> Rule:
    """Read a path of an allowlist.

    Raises:
        ValueError: it is not a path, or lets everything pass.
    """
    path = text.removesuffix(_WHOLE_URL)
    whole = path != text
    below = path.endswith(_BELOW)
    path = path.removesuffix(_BELOW)
    if not path or "*" in path or not all(path.split(".")):
        raise ValueError("write a path such as plan, address.city or items.*; * alone passes all")
    if masked and (below or whole):
        raise ValueError("an identifier is one field: name it in full")
    return Rule(path, below, whole, masked)


def both(these: Iterable[Rule], those: Iterable[Rule]) -> tuple[Rule, ...]:
    """Keep what both lists let pass. It is masked if either list says so."""
    found: dict[tuple[str, bool], Rule] = {}
    others = list(those)
    for rule in these:
        for other in others:
            met = _met(rule, other)
            if met is None:
                continue
            known = found.get((met.path, met.below))
            if known is not None:  # named as an identifier and allowed: masked counts
                masked = known.masked or met.masked
                met = Rule(met.path, met.below, known.whole or met.whole, masked)
            found[met.path, met.below] = met
    return tuple(found.values())


def _met(one: Rule, other: Rule) -> Rule | None:
    """Find what two rules both let pass: the narrower one, if it is within the other."""
    masked, whole = one.masked or other.masked, one.whole and other.whole
    for narrow, wide in ((one, other), (other, one)):
        within = wide.below and narrow.path.startswith(f"{wide.path}.")
        same = narrow.path == wide.path and narrow.below == wide.below
        if within or same:
            # What is below a path and no URL field of its own keeps what its list says.
            return Rule(narrow.path, narrow.below, whole, masked)
    return None


class Tally:
    """Counts what was done to the fields of an object, at any depth.

    Attributes:
        dropped: fields that may not pass.
        cut: URLs that pass without their query.
        masked: identifiers.
    """

    __slots__ = ("cut", "dropped", "masked")

    def __init__(self) -> None:
        self.dropped = self.cut = self.masked = 0


class _Node:
    """The rules for one level of an object.

    Attributes:
        children: the rules below, by key.
        leaf: for a scalar at this place.
        rest: for everything else below.
        masked: whether the value here is an identifier.
    """

    __slots__ = ("children", "leaf", "masked", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.leaf: Pass | None = None
        self.rest: Pass | None = None
        self.masked = False


class Allowlist:
    """The compiled paths of one object.

    Args:
        rules: the rules.
        mask: masks the text of an identifier.
    """

    def __init__(self, rules: Sequence[Rule], mask: Callable[[str], str]) -> None:
        self._root = _Node()
        self.paths = frozenset(rule.path for rule in rules)
        for rule in rules:
            self._add(rule, rule.path.split("."), mask)
        _spread(self._root)
        _name_in_full(self._root)

    def __bool__(self) -> bool:
        return bool(self._root.children)

    def kept(self, value: dict[str, Any]) -> tuple[dict[str, Any], Tally]:
        """Copy the parts of an object that may pass, and count what was done."""
        tally = Tally()
        if not self._root.children:
            tally.dropped = len(value)
            return {}, tally
        return _object(value, self._root, tally), tally

    def _add(self, rule: Rule, keys: Sequence[str], mask: Callable[[str], str]) -> None:
        node = self._root
        for key in keys:
            node = node.children.setdefault(key, _Node())
        if rule.below:
            node.rest = _scalar("", whole=rule.whole)
        else:
            node.leaf = _masked(mask) if rule.masked else _scalar(keys[-1], whole=rule.whole)
            node.masked = rule.masked


def _spread(node: _Node) -> None:
    """Apply `a.*` below `a.b`, too, if `a.b` is named and is not an identifier."""
    for child in node.children.values():
        if node.rest is not None and not child.masked:
            child.leaf = child.leaf or node.rest
            child.rest = child.rest or node.rest
        _spread(child)


def _name_in_full(node: _Node) -> dict[str, _Node]:
    """Treat the key `a.b`, which flattening senders write, like `b` within `a`."""
    below: dict[str, _Node] = {}
    for key, child in node.children.items():
        below |= {f"{key}.{name}": inner for name, inner in _name_in_full(child).items()}
    own = dict(node.children)
    node.children |= {name: child for name, child in below.items() if name not in own}
    return {**below, **own}


def _object(value: dict[str, Any], node: _Node, tally: Tally) -> dict[str, Any]:
    # Most of HIPAA mode's time is spent here: no call that can be spared.
    kept: dict[str, Any] = {}
    children, rest = node.children, node.rest
    dropped = 0
    for key, item in value.items():
        child = children.get(key)
        if child is None:
            passed = UNDEFINED if rest is None else _all(item, rest, key)
        else:
            kind = type(item)
            if kind is dict or kind is list:
                passed = _value(item, child, tally)
            elif child.leaf is None:
                passed = UNDEFINED
            elif kind is str or child.masked:
                passed = _leaf(item, child, tally)
            else:  # only a text can be a URL
                passed = item
        if passed is UNDEFINED:
            dropped += 1
        else:
            kept[key] = passed
    tally.dropped += dropped
    return kept


def _value(value: Any, node: _Node, tally: Tally) -> Any:
    if isinstance(value, dict):
        return _object(value, node, tally) if node.children or node.rest else UNDEFINED
    if isinstance(value, list):
        # A list in a list is deeper than a path reaches that does not stand for all below it.
        reached = value
        if node.rest is None:
            reached = [item for item in value if not isinstance(item, list)]
        items = [_value(item, node, tally) for item in reached]
        return [item for item in items if item is not UNDEFINED]
    return UNDEFINED if node.leaf is None else _leaf(value, node, tally)


def _leaf(value: Any, node: _Node, tally: Tally) -> Any:
    passed = node.leaf(value) if node.leaf is not None else UNDEFINED
    if passed is not value and passed is not UNDEFINED:
        if node.masked:
            tally.masked += 1
        else:
            tally.cut += 1
    return passed


def _all(value: Any, passes: Pass, name: str = "") -> Any:
    """Let a whole value pass. A URL in it still loses its query, unless that may pass, too.

    It recognises a URL by its form and by the name of its field.
    """
    if isinstance(value, dict):
        return {key: _all(item, passes, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_all(item, passes, name) for item in value]
    if passes is not _as_it_is and type(value) is str and is_url_name(name):
        return bare_url(value)
    return passes(value)


def _scalar(name: str, *, whole: bool) -> Pass:
    if whole:
        return _as_it_is
    if is_url_name(name):
        return _bare

    def passes(value: Any) -> Any:
        if type(value) is not str or not is_suspect(value):
            return value
        return bare_url(value) if is_url(value) else with_bare_urls(value)

    return passes


def _bare(value: Any) -> Any:
    return bare_url(value) if type(value) is str else value


def _as_it_is(value: Any) -> Any:
    return value


def _masked(mask: Callable[[str], str]) -> Pass:
    def passes(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return UNDEFINED
        text = value if isinstance(value, str) else number_text(value)
        return mask(text) if text.strip() else UNDEFINED

    return passes
