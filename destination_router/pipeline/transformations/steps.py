"""Compiles and applies the ordered steps with which a connection changes messages.

Each step is one operation, with an optional condition in FQL. A step never fails halfway. If it
cannot do something, it leaves a note. If it meets an error, the message is rejected, and does not
pass unchanged.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.messages import Message
from destination_router.contract.records import Json, Note, Reject
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.pipeline.subscriptions.conditions import Holds, compile_condition
from destination_router.pipeline.subscriptions.fql import FqlError
from destination_router.pipeline.transformations.operations import (
    OPERATIONS,
    Apply,
    Dropped,
    Surroundings,
)
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import Problem, SettingsError

FAILED = "transformation_error"
"""The code of a message that a step failed at."""


class Step(msgspec.Struct, frozen=True):
    """One operation.

    Attributes:
        where: its path in the configuration.
        operation: the operation: `rename`.
        holds: the condition on messages; None for all.
        apply: takes a message; returns another, and adds notes.
    """

    where: str
    operation: str
    holds: Holds | None
    apply: Apply


class Transformed(msgspec.Struct, frozen=True):
    """The result of steps for a message.

    Attributes:
        message: the message; None if a step dropped it.
        notes: what was done to it.
        reason: why it was dropped.
    """

    message: Message | None
    notes: tuple[Note, ...] = ()
    reason: str | None = None


class Transformations:
    """A compiled list of steps.

    Args:
        configs: each `{operation = what, when = FQL}`.
        surroundings: what an operation may need of its connection.
        where: the path in front of a step's number.

    Raises:
        SettingsError: with every problem and its path.
    """

    def __init__(
        self,
        configs: Sequence[Json],
        surroundings: Surroundings | None = None,
        where: str = "transformations.",
    ) -> None:
        problems: list[Problem] = []
        steps: list[Step] = []
        for index, config in enumerate(configs):
            around = surroundings or Surroundings()
            steps.extend(_compiled(config, f"{where}{index}", around, problems))
        if problems:
            raise SettingsError(problems)
        self.steps = tuple(steps)

    def apply(self, message: Message) -> Transformed:
        """Take a message through all steps.

        Raises:
            Reject: a step refuses it or fails.
        """
        notes: list[Note] = []
        for step in self.steps:
            done = apply_step(step, message)
            notes.extend(done.notes)
            if done.message is None:
                return Transformed(None, tuple(notes), done.reason)
            message = done.message
        return Transformed(message, tuple(notes))


def apply_step(step: Step, message: Message) -> Transformed:
    """Take a message through one step.

    Raises:
        Reject: as `Transformations.apply`.
    """
    if step.holds is not None and not step.holds(message):
        return Transformed(message)
    notes: list[Note] = []
    try:
        return Transformed(step.apply(message, notes), tuple(notes))
    except Dropped as dropped:
        reason = f"{step.where}: {dropped}"
        return Transformed(None, (*notes, Note("dropped", step.where, str(dropped))), reason)
    except Reject:
        raise
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- above all, code that is not ours
        raise Reject(FAILED, whereabouts(error), step.where) from None


def _compiled(
    config: Json, where: str, surroundings: Surroundings, problems: list[Problem]
) -> Iterator[Step]:
    if not isinstance(config, Mapping):
        problems.append(Problem(where, "must be a table"))
        return
    name, *others = [name for name in config if name != "when"] or [""]
    if others or name not in OPERATIONS:
        problems.append(Problem(where, _misnamed(name, *others)))
        return
    found = len(problems)
    holds = _condition(config, where, problems)
    apply = _operation(name, config[name], f"{where}.{name}", surroundings, problems)
    if apply is not None and len(problems) == found:
        yield Step(f"{where}.{name}", name, holds, apply)


def _misnamed(*names: str) -> str:
    known = f"known: {', '.join(OPERATIONS)}"
    match names:
        case ("",):
            return f"names no operation; {known}"
        case (name,):
            close = difflib.get_close_matches(name, OPERATIONS, n=1)
            return f"{name} is no operation; {f'did you mean {close[0]}?' if close else known}"
        case _:
            return f"names {' and '.join(names)}: write one operation a step, and perhaps when"


def _condition(config: Mapping[str, Json], where: str, problems: list[Problem]) -> Holds | None:
    if "when" not in config:
        return None
    try:
        if isinstance(config["when"], str):
            return compile_condition(config["when"])
        problems.append(Problem(f"{where}.when", "must be text: a condition in FQL"))
    except FqlError as error:
        problems.append(Problem(f"{where}.when", str(error)))
    return None


def _operation(
    name: str, value: Json, where: str, surroundings: Surroundings, problems: list[Problem]
) -> Apply | None:
    compile_operation: Callable[[Any, Surroundings], Apply] = OPERATIONS[name]
    try:
        return compile_operation(value, surroundings)
    except (ValueError, PluginError) as error:
        problems.append(Problem(where, str(error)))
    return None
