"""The destination under test, and what it makes of a case's input. It sends nothing.

`Subject` is all that a case needs. `PluginSubject` is a destination that the suite loads and runs
as a host does, with a connection of its own for each set of settings; the checks look into one.
If a subject does not show something, the result is `Unobservable`: neither passed nor failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from conformance.case import Case, Response
from destination_router import HttpRequest, HttpResponse, Outcome, Pairing, default_outcome
from destination_router.config.router_toml import ConnectionConfig
from destination_router.pipeline.connection import Connection, Decision, configured
from destination_router.plugins.loading import LoadedPlugin
from destination_router.settings.errors import SettingsError

_UNSEEN = {
    "check/purity-no-io": "the files, sockets and clocks of another process cannot be seen",
    "check/purity-input-unchanged": "another process gets a copy of the message, and may change it",
    "check/packing-input-unchanged": "another process gets a copy of the requests",
}


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a case's input, in the terms of an expectation.

    Attributes:
        result: which of the others counts.
        requests: as JSON, with every field that a request may have.
        code: of a rejection; None where the subject does not tell it.
        detail: of a rejection, or why a message was ignored.
        outcome: by message id.
        errors: the paths at fault in the settings.
        notes: the codes, in order; None where they cannot be seen.
    """

    result: Literal["requests", "reject", "ignored", "outcome", "settings"]
    requests: tuple[dict[str, Any], ...] = ()
    code: str | None = ""
    detail: str = ""
    outcome: dict[str, Outcome] = {}
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] | None = ()


class Unobservable(Exception):  # noqa: N818 -- nobody errs: a subject does not show everything
    """The subject does not show what a case or check asks for. The text says why."""


class Subject(Protocol):
    """What is under test: something that makes requests of messages, wherever it runs."""

    @property
    def name(self) -> str:
        """What a configuration calls it."""

    @property
    def capabilities(self) -> tuple[str, ...] | None:
        """The hooks that it has. A case or check that needs another hook is skipped.

        None: nobody can see which.
        """

    def observe(self, case: Case) -> Observation:
        """Run a case's input.

        Raises:
            SettingsError: the case's settings cannot be used, and are not what it is about.
            Unobservable: what the case asks for cannot be seen of this subject.
        """

    def unobservable(self, check: str) -> str:
        """Say why a check cannot look into this subject; empty if it can.

        Args:
            check: its id: `check/purity-no-io`.
        """


class PluginSubject:
    """A destination that the suite loads and runs as a host does.

    Args:
        plugin: loaded for this subject alone.
    """

    def __init__(self, plugin: LoadedPlugin) -> None:
        self.plugin = plugin
        self._connections: dict[bytes, Connection] = {}

    @property
    def name(self) -> str:
        """What a configuration calls it."""
        return self.plugin.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The hooks that it implements."""
        return self.plugin.capabilities

    def unobservable(self, _check: str) -> str:
        """Hide nothing: the hooks run in this process."""
        return ""

    def connection(
        self, settings: Mapping[str, Any], beside: Mapping[str, Any] | None = None
    ) -> Connection:
        """Give the connection with these settings; made once.

        Args:
            settings: the destination's.
            beside: what else the connection says: a case's `connection`.

        Raises:
            SettingsError: the settings cannot be used, or what stands beside them.
        """
        own = {name: value for name, value in (beside or {}).items() if name != "router"}
        described = {
            **own,
            "name": self.name,
            "plugin": self.name,
            "settings": settings,
            "shared": (beside or {}).get("router", {}),
        }
        key = msgspec.json.encode(described, order="sorted")
        if key not in self._connections:
            config = msgspec.convert(described, ConnectionConfig)
            self._connections[key] = configured(config, self.plugin)
        return self._connections[key]

    def connection_of(self, case: Case) -> Connection:
        """Give the connection that a case is about.

        Raises:
            SettingsError: as `connection`.
        """
        return self.connection(case.settings, case.connection)

    def observe(self, case: Case) -> Observation:
        """Run a case's input.

        Raises:
            SettingsError: the case's settings cannot be used, and are not what it is about.
        """
        if case.expect.settings is not None:
            return self._settings(case)
        connection = self.connection_of(case)
        if case.response is not None:
            return _answer(connection, case.response)
        decisions = [connection.decide(wire(message)) for message in case.sent]
        if case.messages is None:
            return _decision(decisions[0])
        singles = [request for decision in decisions for request in decision.requests]
        return Observation(
            result="requests",
            requests=tuple(map(request_json, connection.pack(singles))),
            notes=tuple(note.code for decision in decisions for note in decision.notes),
        )

    def _settings(self, case: Case) -> Observation:
        try:
            self.connection_of(case)
        except SettingsError as error:
            paths = dict.fromkeys(problem.path for problem in error.problems)
            return Observation(result="settings", errors=tuple(paths), detail=str(error))
        return Observation(result="settings")


class ProgramSubject(PluginSubject):
    """A destination that is a program. Only what happens inside its process is hidden."""

    def unobservable(self, check: str) -> str:
        """Say why a check cannot look into the process; empty if it need not."""
        return _UNSEEN.get(check, "")


def wire(message: Mapping[str, Any]) -> bytes:
    """Write a message as JSON, as it would come over the wire."""
    return msgspec.json.encode(message)


def request_json(request: HttpRequest) -> dict[str, Any]:
    """Write a request as the JSON that cases compare: what goes out, and its pairings."""
    body: dict[str, Any] = {}
    if request.json is not None:
        body["json"] = request.json
    if request.form is not None:
        body["form"] = dict(request.form)
    if request.content is not None:
        body["content"] = request.content.decode("utf-8", "backslashreplace")
        body["contentType"] = request.content_type
    if request.gzip:
        body["gzip"] = True
    if request.auth is not None:
        body["auth"] = msgspec.to_builtins(request.auth)
    body["pairings"] = [_pairing_json(pairing) for pairing in request.pairings]
    return {
        "method": request.method,
        "url": request.url,
        "params": {n: v if isinstance(v, str) else list(v) for n, v in request.params.items()},
        "headers": dict(request.headers),
        **body,
    }


def _pairing_json(pairing: Pairing) -> dict[str, Any]:
    told = {"key": pairing.key, "value": pairing.value, "limit": pairing.limit}
    return told if pairing.period is None else {**told, "period": pairing.period}


def outcomes(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> dict[str, Outcome]:
    """Say what an answer means for each message of its request, as a host does."""
    fallback = default_outcome(response)
    if "on_response" not in connection.plugin.capabilities:
        return dict.fromkeys(request.message_ids, fallback)
    answer = connection.plugin.hook.on_response(
        request=request, response=response, settings=connection.settings
    )
    if isinstance(answer, Outcome):
        return dict.fromkeys(request.message_ids, answer)
    return {
        message_id: (answer or {}).get(message_id, fallback) for message_id in request.message_ids
    }


def _decision(decision: Decision) -> Observation:
    notes = tuple(note.code for note in decision.notes)
    if decision.reject is not None:
        reject = decision.reject
        return Observation(result="reject", code=reject.code, detail=reject.detail, notes=notes)
    if decision.result == "filtered":
        return Observation(result="ignored", detail=decision.reason or "", notes=notes)
    requests = tuple(map(request_json, decision.requests))
    return Observation(result="requests", requests=requests, notes=notes)


def _answer(connection: Connection, given: Response) -> Observation:
    request = HttpRequest(
        url=given.request.url,
        json=given.request.json,
        form=given.request.form,
        content=None if given.request.content is None else given.request.content.encode(),
        content_type="" if given.request.content is None else given.request.content_type,
        message_ids=given.request.message_ids,
        items=given.request.items,
    )
    response = HttpResponse(status=given.status, headers=given.headers, body=given.body.encode())
    return Observation(result="outcome", outcome=outcomes(connection, request, response))
