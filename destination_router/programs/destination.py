"""Makes the hooks of a program look like a plugin's. A host need not know that they run elsewhere.

In a host without an event loop (the suite, `try`, `check`), a hook asks the program. In a host with
an event loop, questions are asked ahead. A hook in the event loop's thread then answers only those,
and raises `Unanswered` for any other. So the pipeline stays pure, one exchange serves many
messages, and no other events wait for a program. In any other thread, a hook asks and waits.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from destination_router.contract.hookspecs import hookimpl
from destination_router.contract.messages import MESSAGE_TYPES, Message
from destination_router.contract.records import HttpRequest, HttpResponse, Ignored, Json, Outcome
from destination_router.faults import Unanswered
from destination_router.plugins.breaches import HOOKS
from destination_router.plugins.loading import LoadedPlugin, PluginError, check_destination
from destination_router.programs.lines import (
    Fault,
    Hello,
    HookError,
    LineError,
    answer_json,
    made_of,
    message_json,
    outcome_of,
    plain_of,
    requests_json,
    requests_of,
    values_of,
)
from destination_router.programs.program import Limits, Program, ProgramError

MESSAGES_AT_ONCE = 100
"""The most messages of one exchange."""

BYTES_AT_ONCE = 2**20
"""The most bytes of messages in one exchange, unless a single message is larger."""

_CALLS = tuple(f"on_{name}" for name in MESSAGE_TYPES)
_OF_SETTINGS = (
    "more_display_names",
    "default_subscription",
    "quotas",
    "window",
    "origins",
    "cautions",
    "client_side",
)
_OF_NOTHING = ("settings_schema", "display_names", "fields")
_IMPORTS = ("import_settings", "settings_from")
KNOWN_HOOKS = (
    *_OF_NOTHING,
    *_CALLS,
    "configure",
    *_OF_SETTINGS,
    *_IMPORTS,
    "pack",
    "on_response",
)
"""Hooks that a program may have."""

_LEFT_OUT = {
    "simulator": "a stand-in vendor runs by itself: send its origin there with [delivery] origins",
    "user_deletion": "a program cannot delete users: write the destination in Python",
    "takes_any_type": "a program gets only well-formed messages: write the destination in Python",
}
"""Hooks of the contract that a program cannot have, and the reasons."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Question(msgspec.Struct, frozen=True):
    """A question to a program.

    Attributes:
        call: `map`, or the name of a hook.
        settings: the connection's, as JSON.
        asked: the message of a `map`, or the other arguments, as JSON.
    """

    call: str
    settings: bytes
    asked: bytes


class ProgramHooks:
    """A program's hooks, and its answers so far.

    Args:
        program: is asked.

    Raises:
        ProgramError: it does not answer.
        PluginError: it has hooks that it cannot have.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.hello: Hello = program.hello()
        _check_hooks(program, self.hello)
        self._plain: dict[tuple[str, bytes], Any] = {}
        self._known: dict[Question, Callable[[], Any]] = {}
        self._loop_thread: int | None = None
        self._noted: list[Question] | None = None

    # -- for a host with an event loop -----------------------------------------------------------

    def answer_ahead(self, *, ahead: bool) -> None:
        """Choose whether hooks in the calling thread answer only what was asked ahead."""
        self._loop_thread = threading.get_ident() if ahead else None

    @property
    def _ahead(self) -> bool:
        return self._loop_thread == threading.get_ident()

    @contextlib.contextmanager
    def noting(self) -> Iterator[list[Question]]:
        """Note the questions of hooks about messages, without asking them.

        Nothing may be awaited meanwhile.
        """
        noted: list[Question] = []
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def answer(self, questions: Sequence[Question]) -> None:
        """Put questions to the program, and keep the answers. This blocks.

        Raises:
            ProgramError: it did not answer, or was stopped meanwhile and stays stopped.
        """
        stops = self.program.stops
        for group in _groups(questions):
            if self.program.stops != stops:
                command = str(self.program)
                raise ProgramError(command, "was told to end", "", is_about_question=False)
            for question, value in zip(group, self._put(group), strict=True):
                self._known[question] = value

    def give_up(self, question: Question, reason: str) -> None:
        """Note that a question will have no answer."""
        self._known[question] = functools.partial(_raise, HookError(reason, reason))

    def forget(self, questions: Sequence[Question]) -> None:
        """Forget answers that have been used."""
        for question in questions:
            self._known.pop(question, None)

    def settle(self, settings: Json) -> None:
        """Ask all questions that depend only on the settings.

        Raises:
            ProgramError: it does not answer.
        """
        for hook in _OF_SETTINGS:
            if hook in self.hello.hooks:
                with contextlib.suppress(HookError, LineError):  # whoever needs it is told then
                    self._of_settings(hook, settings)

    # -- the hooks -------------------------------------------------------------------------------

    def namespace(self) -> SimpleNamespace:
        """Make a plugin with the hooks that the program has."""
        hooks: dict[str, Callable[..., Any]] = {}
        for name in self.hello.hooks:
            hooks[name] = self._hook(name)
        return SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()})

    def _hook(self, name: str) -> Callable[..., Any]:
        def of_nothing() -> Any:
            return self._plain_value(name, b"", {})

        def of_message(message: Message, settings: Json) -> list[HttpRequest] | Ignored:
            return self._of_message(message, settings)

        def of_settings(settings: Json) -> Any:
            return self._of_settings(name, settings)

        def of_import(system: str, config: dict[str, Json]) -> Any:
            return plain_of(name, self._value(name, {"system": system, "config": config}))

        def pack(requests: list[HttpRequest], settings: Json) -> list[HttpRequest]:
            asked = _encode({"requests": requests_json(requests)})
            packed: list[HttpRequest] = self._answer_to(Question(name, _encode(settings), asked))
            return packed

        def on_response(
            request: HttpRequest, response: HttpResponse, settings: Json
        ) -> dict[str, Outcome] | Outcome:
            asked = _encode(answer_json(request, response))
            read: dict[str, Outcome] | Outcome
            read = self._answer_to(Question(name, _encode(settings), asked))
            return read

        if name in _CALLS:
            return of_message
        if name in _OF_NOTHING:
            return of_nothing
        if name in _IMPORTS:
            return of_import
        apart: dict[str, Callable[..., Any]] = {"pack": pack, "on_response": on_response}
        return apart.get(name, of_settings)

    def _of_message(self, message: Message, settings: Json) -> list[HttpRequest] | Ignored:
        told = bytes(message_json(message, self.hello.reads))
        question = Question("map", _encode(settings), told)
        if self._noted is not None and self._ahead:
            self._noted.append(question)
            return []
        made: list[HttpRequest] | Ignored = self._answer_to(question)
        return made

    def _answer_to(self, question: Question) -> Any:
        if self._ahead:
            known = self._known.get(question)
            if known is None:
                raise Unanswered(question)
            return known()
        return self._put([question])[0]()

    def _put(self, group: Sequence[Question]) -> list[Callable[[], Any]]:
        """Put one question, or several about messages, in one exchange."""
        first = group[0]
        settings = Raw(first.settings)
        if first.call == "map":
            messages = [Raw(question.asked) for question in group]
            value = self._value("map", {"settings": settings, "messages": messages})
            values = self._parted(value, len(group))
            return [functools.partial(made_of, each) for each in values]
        arguments = {"settings": settings, **msgspec.json.decode(first.asked, type=dict[str, Raw])}
        try:
            value = self._value(first.call, arguments)
        except HookError as fault:
            return [functools.partial(_raise, fault)]
        read = requests_of if first.call == "pack" else outcome_of
        return [functools.partial(read, value)]

    def _parted(self, value: Raw, count: int) -> list[Raw]:
        try:
            return values_of(value, count)
        except LineError as error:
            raise self.program.broken(str(error)) from None

    def _of_settings(self, name: str, settings: Json) -> Any:
        return self._plain_value(name, _encode(settings), {"settings": settings})

    def _plain_value(self, name: str, key: bytes, arguments: dict[str, Json]) -> Any:
        """Ask once for each set of arguments, because a hook is pure."""
        if (name, key) not in self._plain:
            if self._ahead:  # the event loop does not wait: it was asked in `settle`
                words = f"{name} failed when it was asked at the start"
                raise HookError(words, words)
            self._plain[name, key] = plain_of(name, self._value(name, arguments))
        return self._plain[name, key]

    def _value(self, call: str, arguments: dict[str, Json]) -> Raw:
        value, failed = self.program.ask(call, arguments)
        if value is not None:
            return value
        if isinstance(failed, Fault):
            raise failed.error
        raise ValueError(failed)


def load_program(
    command: Sequence[str], folder: str | None = None, limits: Limits | None = None
) -> LoadedPlugin:
    """Start a program and check it against the contract, as `load_plugin` does with a plugin.

    Args:
        command: the program and its arguments.
        folder: where it runs; None: where this process does.
        limits: the limits of the program.

    Raises:
        PluginError: it cannot be started, does not answer, or breaks the contract.
    """
    program = Program(command, folder, limits)
    try:
        hooks = ProgramHooks(program)
        hello = hooks.hello
        origin = f"`{program}` {hello.version}".strip()
        loaded = check_destination(hooks.namespace(), hello.name, origin)
    except BaseException:
        program.stop()
        raise
    return replace(loaded, elsewhere=hooks)


def _groups(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Group questions about messages with the same settings, within the bounds of an exchange."""
    group: list[Question] = []
    size = 0
    for question in dict.fromkeys(questions):
        joins = group and question.call == "map" and group[0].settings == question.settings
        full = len(group) == MESSAGES_AT_ONCE or size + len(question.asked) > BYTES_AT_ONCE
        if group and (not joins or full or group[0].call != "map"):
            yield group
            group, size = [], 0
        group.append(question)
        size += len(question.asked)
    if group:
        yield group


def _check_hooks(program: Program, hello: Hello) -> None:
    for name in hello.hooks:
        if name in _LEFT_OUT:
            raise PluginError(f"the program `{program}` says hook {name}: {_LEFT_OUT[name]}")
        if name not in KNOWN_HOOKS or name not in HOOKS:
            known = ", ".join(KNOWN_HOOKS)
            raise PluginError(f"the program `{program}` says hook {name!r}; known: {known}")


def _raise(error: Exception) -> None:
    raise error


__all__ = ["Limits", "ProgramError", "ProgramHooks", "Question", "load_program"]
