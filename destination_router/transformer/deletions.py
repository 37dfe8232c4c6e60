"""`POST /deleteUsers`: rudder-server's regulation worker asks for users to be deleted.

An answer of 200 means that the vendor has taken all of them. The worker does not ask whether the
deletion is done. On any other answer, it marks the job as failed and asks again later. A second
request for the same deletion does no harm.

A job is handled here if an installed destination can delete its users, or if nobody else may see
their ids. All other jobs go upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.deletion import UserDeletion
from destination_router.contract.records import Json, Reject
from destination_router.deletion.people import (
    Asked,
    Refused,
    asked_of,
    delivery_keys,
    wanted,
)
from destination_router.deletion.vendor import Deleting, DeletionGroup, grouped
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.settings.errors import SettingsError
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.upstream import UpstreamError

_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_SHAPE = "{destType, config, userAttributes}"
_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
_AWAY = 500
_CANNOT_DELETE = (
    "router.toml: a connection of this destination is in HIPAA mode, and nothing here can delete "
    "its users; no id was passed on: delete them at the vendor, by their masked ids"
)
_NOBODYS = (
    "destType: it cannot be read, and a connection of router.toml is in HIPAA mode; no id was "
    f"passed on: write {_SHAPE}"
)
_LONGEST_WAIT = 2.0
"""Seconds; the worker itself comes back later."""


class DeletionJob(msgspec.Struct, rename="camel"):
    """One job of the worker's.

    Attributes:
        dest_type: whose users, as rudder-server names destinations.
        config: the destination's configuration.
        user_attributes: one object for each user: of these `userId` and `anonymousId` count.
    """

    dest_type: str = ""
    config: dict[str, Any] = {}
    user_attributes: list[dict[str, Any]] = []


class JobDeleted(msgspec.Struct, rename="camel", omit_defaults=True):
    """The result of a job."""

    status_code: int
    status: str = ""
    error: str = ""


AskOthers = Callable[[Sequence[msgspec.Raw]], Awaitable[list[msgspec.Raw] | None]]
"""Hands jobs to whoever else there is; gives an answer for each, or None if there is none.

May raise `UpstreamError`.
"""


class _Addressed(msgspec.Struct, rename="camel"):
    dest_type: str = ""


class _Status(msgspec.Struct, rename="camel"):
    status_code: int = _AWAY


class DeletionRequest(msgspec.Struct, frozen=True):
    """The jobs of a request as they were written, and the destinations of each.

    Attributes:
        jobs: as wire JSON.
        ours: for each the destinations that it is for, or its refusal where others must not be
            told of it; None if it is theirs.
    """

    jobs: list[msgspec.Raw]
    ours: list[Destinations | JobDeleted | None]


def read_request(body: bytes, destinations: Mapping[str, Destinations]) -> DeletionRequest:
    """Read which jobs of a request are ours.

    Args:
        body: the request's.
        destinations: what is served, by its name in lower case.

    Raises:
        Reject: `invalid_json`.
    """
    try:
        jobs = msgspec.json.decode(body, type=list[msgspec.Raw])
    except _UNDECODABLE:
        raise Reject("invalid_json", f"write [{_SHAPE}]") from None
    return DeletionRequest(jobs, [_whose(job, destinations) for job in jobs])


def _whose(
    job: msgspec.Raw, destinations: Mapping[str, Destinations]
) -> Destinations | JobDeleted | None:
    name = _destination_type(job)
    if not name:
        # Whose users they are nobody knows, and they may be those of a connection that masks.
        private = any(one.some_private for one in destinations.values())
        return JobDeleted(_BAD_REQUEST, error=_NOBODYS) if private else None
    found = destinations.get(name.casefold())
    return found if found is not None and (found.deletes or found.some_private) else None


def _destination_type(job: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(job, type=_Addressed).dest_type.strip()
    except _UNDECODABLE:
        return ""


async def answer_jobs(
    request: DeletionRequest, origins: Mapping[str, str], ask_others: AskOthers
) -> tuple[int, bytes]:
    """Answer each job, in order: those that are ours here, the rest by others.

    Args:
        request: its jobs; one at least.
        origins: which vendor's origin is sent elsewhere.
        ask_others: who answers the rest.

    Returns:
        The HTTP status, which is the first job's as upstream, and the body.
    """
    pairs = list(zip(request.jobs, request.ours, strict=True))
    async with asyncio.TaskGroup() as at_once:  # our jobs do not wait for a slow upstream
        asked = [job for job, one in pairs if one is None]
        theirs = at_once.create_task(_others_answers(asked, ask_others))
        ours = [
            None if one is None else _written(await _answer_job(one, job, origins))
            for job, one in pairs
        ]
    others = iter(theirs.result())
    answers = [next(others) if answer is None else answer for answer in ours]
    return _status(answers[0]), msgspec.json.encode(answers)


async def _answer_job(
    destinations: Destinations | JobDeleted, raw: msgspec.Raw, origins: Mapping[str, str]
) -> JobDeleted:
    if isinstance(destinations, JobDeleted):
        return destinations
    if not destinations.deletes:
        return JobDeleted(_BAD_REQUEST, error=_CANNOT_DELETE)
    try:
        job = msgspec.json.decode(raw, type=DeletionJob)
    except _UNDECODABLE:
        return JobDeleted(_BAD_REQUEST, error=f"write {_SHAPE}")
    return await delete_users(destinations, job, origins)


async def _others_answers(
    jobs: Sequence[msgspec.Raw], ask_others: AskOthers
) -> Sequence[msgspec.Raw]:
    if not jobs:
        return ()
    try:
        answers = await ask_others(jobs)
    except UpstreamError as error:
        return [_written(JobDeleted(error.status, error=str(error)))] * len(jobs)
    if answers is None:
        nobody = JobDeleted(_NOT_FOUND, error="no destination of this type is here")
    elif len(answers) == len(jobs):
        return answers
    else:
        nobody = JobDeleted(_AWAY, error="the upstream transformer did not answer for each job")
    return [_written(nobody)] * len(jobs)


def _written(answer: JobDeleted) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(answer))


def _status(answer: msgspec.Raw) -> int:
    try:
        return msgspec.json.decode(answer, type=_Status).status_code
    except _UNDECODABLE:
        return _AWAY


async def delete_users(
    destinations: Destinations, job: DeletionJob, origins: Mapping[str, str]
) -> JobDeleted:
    """Ask the vendor to delete the users of a job. Never raises.

    Args:
        destinations: the plugin's.
        job: whose users, and with which configuration.
        origins: which vendor's origin is sent elsewhere.
    """
    prepared, overlay = destinations.prepare_deletion(job.config)
    connection = prepared.connection
    if connection is None:
        return JobDeleted(_BAD_REQUEST, error=prepared.problem)
    try:
        keys = delivery_keys(overlay)
        deletion: UserDeletion = connection.plugin.hook.user_deletion(settings=connection.settings)
        deletion.token_request()
    except Reject as reject:
        return JobDeleted(_BAD_REQUEST, error=f"router.toml: {reject}")
    except SettingsError:  # rudder-server must not learn where keys are
        return JobDeleted(_BAD_REQUEST, error="router.toml: cannot be used: privacy.keys")
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not fail the batch
        problem = f"plugin {connection.plugin.name!r}: user_deletion failed: {whereabouts(error)}"
        return JobDeleted(_BAD_REQUEST, error=problem)
    who = wanted(_asked(job.user_attributes), deletion, keys)
    groups = grouped([subject for subject, _ in who.subjects], deletion.group)
    settings = DeliverySettings(origins=dict(origins), longest_wait=_LONGEST_WAIT)
    async with Sender(connection, settings) as sender:
        await Deleting(deletion, sender, _tell_nobody, settings).submit(groups)
    return _answer(groups, who.refused)


def _answer(groups: Sequence[DeletionGroup], refused: Sequence[Refused]) -> JobDeleted:
    failed = next((group for group in groups if group.state in {"new", "failed"}), None)
    if failed is not None:
        status = _AWAY if failed.status is None else failed.status
        return JobDeleted(status, error=f"the vendor did not take it: {failed.detail}")
    if refused:
        first = refused[0]
        detail = f"{first.where}: {first.code}: {first.detail}"
        return JobDeleted(_BAD_REQUEST, error=f"{len(refused)} cannot be deleted, such as {detail}")
    return JobDeleted(_OK, status="successful")


def _asked(users: Iterable[Mapping[str, Json]]) -> Iterator[Asked | Refused]:
    for number, user in enumerate(users):
        yield from asked_of(f"userAttributes.{number}", user)


def _tell_nobody(_: DeletionGroup) -> None:
    pass
