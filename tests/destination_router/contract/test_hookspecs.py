"""The contract: pinned, so that a change of it is a decision."""

import inspect
from types import SimpleNamespace

import pluggy
import pytest

from destination_router import Destination, hookimpl
from destination_router.contract.hookspecs import (
    PROJECT,
    REQUIRED_HOOKS,
    TRANSFORMATIONS,
    SharedManagerWarning,
    Transformation,
)
from destination_router.plugins.breaches import HOOKS
from destination_router.plugins.loading import load_plugin

CONTRACT = {
    "settings_schema": (),
    "on_identify": ("message", "settings"),
    "on_track": ("message", "settings"),
    "on_page": ("message", "settings"),
    "on_screen": ("message", "settings"),
    "on_group": ("message", "settings"),
    "on_alias": ("message", "settings"),
    "display_names": (),
    "more_display_names": ("settings",),
    "takes_any_type": ("settings",),
    "configure": ("settings",),
    "default_subscription": ("settings",),
    "settings_from": ("system", "config"),
    "client_side": ("settings",),
    "fields": (),
    "import_settings": ("system", "config"),
    "pack": ("requests", "settings"),
    "window": ("settings",),
    "on_response": ("request", "response", "settings"),
    "quotas": ("settings",),
    "origins": ("settings",),
    "cautions": ("settings",),
    "user_deletion": ("settings",),
    "simulator": ("settings",),
}


def test_the_hooks_and_their_arguments_are_pinned() -> None:
    """Implementations name arguments: renaming one, or a hook, breaks every destination."""
    assert HOOKS == CONTRACT
    assert REQUIRED_HOOKS == ("settings_schema", "on_identify", "on_track")


@pytest.mark.parametrize("name", CONTRACT)
def test_every_hook_is_documented_and_answered_by_one_plugin(name: str) -> None:
    """Each hook says what it is for, and gives one result rather than a list of them."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Destination)
    specification = getattr(manager.hook, name).spec
    assert specification.opts["firstresult"] is True
    documentation = inspect.getdoc(specification.function) or ""
    assert documentation.partition("\n")[0].endswith((".", ":"))


def test_the_hook_of_a_transformation_is_pinned() -> None:
    """Code that transforms messages names the arguments, and its entry-point group, too."""
    assert TRANSFORMATIONS == "destination_router.transformations"
    (name, function), *others = inspect.getmembers(Transformation, inspect.isfunction)
    assert not others
    assert (name, [*inspect.signature(function).parameters][1:]) == (
        "transform_message",
        ["message", "connection"],
    )


def test_the_project_is_the_entry_point_group() -> None:
    """A plugin author needs one name for both."""
    assert PROJECT == "destination_router"
    assert load_plugin("heap").hook.on_track.spec.namespace is Destination


def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager("destination_router")
    made.add_hookspecs(Destination)
    return made


def destination(name: str) -> SimpleNamespace:
    return SimpleNamespace(
        settings_schema=hookimpl(lambda: {"title": name}), on_track=hookimpl(lambda: [name])
    )


def test_two_destinations_with_one_manager_are_warned_of() -> None:
    """Pluggy would call one of them and lose the other's events without a word."""
    shared = manager()
    shared.register(destination("one"))
    with pytest.warns(SharedManagerWarning, match="Make a manager for each destination"):
        shared.register(destination("two"))
    assert len(shared.hook.on_track(message=None, settings=None)) == 1


def test_specifications_that_come_after_the_destinations_warn_as_well() -> None:
    """A host may register first."""
    shared = pluggy.PluginManager("destination_router")
    shared.register(destination("one"))
    shared.register(destination("two"))
    with pytest.warns(SharedManagerWarning):
        shared.add_hookspecs(Destination)


def test_a_manager_for_each_destination_is_quiet() -> None:
    """However many there are: warnings are errors here."""
    managers = [manager() for _ in range(3)]
    for number, each in enumerate(managers):
        each.register(destination(str(number)))
    answers = [each.hook.on_track(message=None, settings=None) for each in managers]
    assert answers == [["0"], ["1"], ["2"]]
