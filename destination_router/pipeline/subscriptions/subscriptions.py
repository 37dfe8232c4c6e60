"""The subscriptions of a connection, each with its mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Field, Json
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.pipeline.mapping.field_mapping import FieldMapping
from destination_router.pipeline.subscriptions.conditions import Condition, compile_condition
from destination_router.pipeline.subscriptions.fql import FqlError
from destination_router.plugins.loading import LoadedPlugin, PluginError
from destination_router.settings.errors import Problem, SettingsError, TableError


class SubscriptionSource(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription of a connection, as configured.

    Attributes:
        subscription: FQL; None for the plugin's default.
        mapping: for each call, the fields that it overrides.
        where: its path in the configuration, for problems; empty for the connection itself.
    """

    subscription: str | None = None
    mapping: Mapping[str, Mapping[str, Json]] = {}
    where: str = ""


def subscription_sources(config: ConnectionConfig) -> tuple[SubscriptionSource, ...]:
    """List a connection's subscriptions with their mappings. Without a list, there is one."""
    if not config.subscriptions:
        return (SubscriptionSource(subscription=config.subscription, mapping=config.mapping),)
    return tuple(
        SubscriptionSource(
            subscription=each.subscription, mapping=each.mapping, where=f"subscriptions.{index}"
        )
        for index, each in enumerate(config.subscriptions)
    )


class Subscription(msgspec.Struct, frozen=True):
    """A compiled subscription: whether it takes a message, and its mapping, if it has one.

    Without a condition, it takes every message. `where` is its path in the configuration.
    """

    holds: Condition | None
    mapping: FieldMapping | None
    where: str = ""


def compile_subscriptions(
    configs: Sequence[SubscriptionSource], plugin: LoadedPlugin, settings: Any
) -> tuple[Subscription, ...]:
    """Compile a connection's subscriptions.

    Args:
        configs: as configured. Without any, the plugin's default counts.
        plugin: the plugin that declares the fields of mappings.
        settings: the settings for the plugin's hooks.

    Raises:
        TableError: with everything that does not compile.
    """

    def default() -> str | None:
        if "default_subscription" not in plugin.capabilities:
            return None
        text = _asked(
            plugin,
            "default_subscription",
            lambda: plugin.hook.default_subscription(settings=settings),
        )
        if text is None or isinstance(text, str):
            return text
        whose = f"plugin {plugin.name!r} of {plugin.origin}"
        raise PluginError(f"{whose}: default_subscription did not return text")

    return _all_compiled(configs or (SubscriptionSource(),), plugin, default)


def check_subscriptions(configs: Sequence[SubscriptionSource], plugin: LoadedPlugin) -> None:
    """Check subscriptions and mappings before the settings are known.

    Raises:
        TableError: with everything that does not compile.
    """
    _all_compiled(configs, plugin, lambda: None)


def _all_compiled(
    configs: Sequence[SubscriptionSource], plugin: LoadedPlugin, default: Callable[[], str | None]
) -> tuple[Subscription, ...]:
    problems: list[Problem] = []
    subscriptions = []
    for config in configs:
        try:
            subscriptions.append(_compiled(config, plugin, default))
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise TableError(problems)
    return tuple(subscriptions)


def _compiled(
    config: SubscriptionSource, plugin: LoadedPlugin, default: Callable[[], str | None]
) -> Subscription:
    problems: list[Problem] = []
    holds = mapping = None
    text = default() if config.subscription is None else config.subscription
    try:
        holds = None if text is None else compile_condition(text)
    except FqlError as error:
        problems.append(Problem(_under(config, "subscription"), str(error)))
    try:
        mapping = _mapping(config, plugin)
    except SettingsError as error:
        problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    return Subscription(holds, mapping, config.where)


def _mapping(config: SubscriptionSource, plugin: LoadedPlugin) -> FieldMapping | None:
    if not any(config.mapping.values()):
        return None
    where = _under(config, "mapping")
    if "fields" not in plugin.capabilities:
        detail = f"{plugin.name} declares no fields to map; drop it"
        raise SettingsError([Problem(where, detail)])
    fields = _asked(plugin, "fields", plugin.hook.fields)
    if not _are_fields(fields):
        whose = f"plugin {plugin.name!r} of {plugin.origin}"
        raise PluginError(f"{whose}: fields did not return a dict of lists of Field")
    return FieldMapping(config.mapping, fields, where)


def _are_fields(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(call, str)
        and isinstance(fields, (list, tuple))
        and all(isinstance(field, Field) for field in fields)
        for call, fields in found.items()
    )


def _asked(plugin: LoadedPlugin, hook: str, ask: Callable[[], Any]) -> Any:
    """Call a plugin. Any failure is an error of the plugin.

    Raises:
        PluginError: the hook failed.
    """
    try:
        return ask()
    except PASSED_ON:
        raise
    except BaseException as error:
        text = f"plugin {plugin.name!r} of {plugin.origin}: {hook} failed: {whereabouts(error)}"
        raise PluginError(text) from error


def _under(config: SubscriptionSource, name: str) -> str:
    return f"{config.where}.{name}" if config.where else name
