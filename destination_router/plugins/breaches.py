"""Finds breaches of the contract that pluggy lets pass, and quotes each definition."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from destination_router.contract.hookspecs import PROJECT, REQUIRED_HOOKS, Destination

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in inspect.getmembers(Destination, inspect.isfunction)
}
"""Each hook of the contract, with the arguments that it offers."""


def breaches_of(plugin: object) -> Iterator[str]:
    """List every breach of the contract as a sentence."""
    if inspect.isclass(plugin):
        yield (
            f"`class {plugin.__qualname__}` is a class: hooks of a class have no `self` to run "
            "with; point the entry point at a module or an instance"
        )
        return
    for name in _names(plugin):
        function = hook_function(plugin, name)
        if function is not None:
            yield from _function_breaches(name, function)
        elif name in HOOKS and _is_defined_by(plugin, name):
            yield f"{_quote(getattr(plugin, name))} has a hook's name but no @hookimpl above it"
    missing = [name for name in REQUIRED_HOOKS if hook_function(plugin, name) is None]
    for name in missing:
        if not _is_defined_by(plugin, name):
            yield f"`def {name}({', '.join(HOOKS[name])})` is required and missing"


def _function_breaches(name: str, function: Any) -> Iterator[str]:
    quoted = _quote(function)
    if name not in HOOKS:
        close = difflib.get_close_matches(name, HOOKS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(HOOKS)}"
        yield f"{quoted} is not a hook of this contract; {hint}"
        return
    if getattr(function, f"{PROJECT}_impl")["specname"] not in (None, name):
        yield f"{quoted} has a specname; a hook is known by the name of its function"
        return
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{quoted} is a coroutine; hooks are synchronous, the host does all I/O"
        return
    if inspect.isgeneratorfunction(function):
        yield f"{quoted} is a generator; return a list"
        return
    for parameter in inspect.signature(function).parameters.values():
        yield from _parameter_breaches(name, quoted, parameter)


def _parameter_breaches(name: str, quoted: str, parameter: inspect.Parameter) -> Iterator[str]:
    offered = ", ".join(HOOKS[name]) or "nothing"
    if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        yield f"{quoted} takes {parameter}; name plain arguments ({name} offers: {offered})"
    elif parameter.name not in HOOKS[name]:
        yield f"{quoted} asks for {parameter.name!r}, which {name} does not offer ({offered})"
    elif parameter.default is not inspect.Parameter.empty:
        # pluggy calls a hook without the arguments that have a default.
        yield f"{quoted} gives {parameter.name!r} a default, so it would never be passed; drop it"


def _names(plugin: object) -> list[str]:
    return [name for name in dir(plugin) if not name.startswith("__")]


def hook_function(plugin: object, name: str) -> Any | None:
    """Get the function under a name, if it is marked as the implementation of a hook."""
    try:
        value = inspect.getattr_static(plugin, name)
    except AttributeError:
        return None
    value = getattr(value, "__func__", value)
    if not inspect.isroutine(value) or not hasattr(value, f"{PROJECT}_impl"):
        return None
    return getattr(plugin, name)


def _is_defined_by(plugin: object, name: str) -> bool:
    """Tell whether the plugin defines the function, and does not only import it."""
    value = getattr(plugin, name, None)
    if not inspect.isroutine(value):
        return False
    return not isinstance(plugin, ModuleType) or value.__module__ == plugin.__name__


def _quote(function: Any) -> str:
    """Quote a definition: ``def on_track(message) [my_plugin.py:12]``."""
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    keyword = "async def" if asynchronous else "def"
    quoted = f"`{keyword} {function.__name__}{inspect.signature(function)}`"
    code = getattr(function, "__code__", None)
    return f"{quoted} ({code.co_filename}:{code.co_firstlineno})" if code else quoted
