"""Find and load a transformation in code: an entry point with the hook `transform_message`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

import pluggy

from destination_router.contract.hookspecs import PROJECT, TRANSFORMATIONS, Transformation
from destination_router.contract.messages import Message
from destination_router.plugins.loading import PluginError

TransformMessage = Callable[[Message, str], object]
"""Takes a message and the connection's name; should return a message or None."""

_HOOK = "transform_message"


def load_transformation(name: str, found: Iterable[EntryPoint] | None = None) -> TransformMessage:
    """Load the transformation that a configuration names.

    Args:
        name: its entry point.
        found: the entry points; None takes those of the running environment.

    Raises:
        PluginError: there is none or more than one, or it breaks the contract.
    """
    points = list(entry_points(group=TRANSFORMATIONS) if found is None else found)
    offers = list({point.value: point for point in points if point.name == name}.values())
    if not offers:
        known = sorted({point.name for point in points})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"installed: {', '.join(known) or 'none'}"
        raise PluginError(f"no transformation called {name!r} is installed; {hint}")
    if len(offers) > 1:
        values = " and ".join(point.value for point in offers)
        raise PluginError(f"transformation {name!r} is offered twice: {values}")
    try:
        code = offers[0].load()
    except (Exception, SystemExit) as error:
        detail = f"{offers[0].value}: {type(error).__name__}: {error}"
        raise PluginError(f"transformation {name!r} does not import: {detail}") from error
    return check_transformation(code, name)


def check_transformation(code: object, name: str) -> TransformMessage:
    """Check a module or an instance against the contract, and return its function.

    Raises:
        PluginError: it breaks the contract.
    """
    breach = f"transformation {name!r} breaks the contract"
    function = getattr(code, _HOOK, None)
    if inspect.isclass(code) or not callable(function):
        raise PluginError(f"{breach}: it needs `def {_HOOK}(message, connection)`")
    if not hasattr(function, f"{PROJECT}_impl"):
        raise PluginError(f"{breach}: {_HOOK} has no @hookimpl above it")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"{breach}: {_HOOK} is not a plain function; the host does all I/O")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Transformation)
    try:
        manager.register(code, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{breach}: {error}") from error
    hook = manager.hook.transform_message
    return lambda message, connection: hook(message=message, connection=connection)
