"""The contract: pinned, so that a change of it is a decision."""

import inspect

import pluggy
import pytest

from destination_router import Destination
from destination_router.contract.hookspecs import (
    PROJECT,
    REQUIRED_HOOKS,
    TRANSFORMATIONS,
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
