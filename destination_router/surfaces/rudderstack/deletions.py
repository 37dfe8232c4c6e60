"""`POST /deleteUsers`: rudder-server's regulation worker asks for users to be deleted.

An answer of 200 means that the vendor has taken all of them; whether it is done already, the
worker does not ask. Of anything else the worker says that the job failed, and asks again later:
to ask a vendor twice for the same deletion harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.deletion import UserDeletion
from destination_router.delivery.deleting import Deleting, Group, grouped
from destination_router.delivery.sender import Sender
from destination_router.delivery.settings import DeliverySettings
from destination_router.model import Json, Reject
from destination_router.settings import SettingsError
from destination_router.surfaces.deletion_input import (
    Asked,
    Refused,
    asked_of,
    delivery_keys,
    wanted,
)
from destination_router.surfaces.rudderstack.destinations import Destinations

_OK = 200
_BAD_REQUEST = 400
_AWAY = 500
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
    """What became of a job."""

    status_code: int
    status: str = ""
    error: str = ""


def read_deletion_jobs(body: bytes) -> list[DeletionJob]:
    """Read the jobs of a request.

    Raises:
        Reject: `invalid_json`.
    """
    try:
        return msgspec.json.decode(body, type=list[DeletionJob])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Reject("invalid_json", "write [{destType, config, userAttributes}]") from None


async def delete_users(
    destinations: Destinations, job: DeletionJob, origins: Mapping[str, str]
) -> JobDeleted:
    """Ask the vendor to delete the users of a job; never raises.

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
    except SettingsError:  # where keys are is not rudder-server's to know
        return JobDeleted(_BAD_REQUEST, error="router.toml: cannot be used: privacy.keys")
    who = wanted(_asked(job.user_attributes), deletion, keys)
    groups = grouped([subject for subject, _ in who.subjects], deletion.group)
    settings = DeliverySettings(origins=dict(origins), longest_wait=_LONGEST_WAIT)
    async with Sender(connection, settings) as sender:
        await Deleting(deletion, sender, _tell_nobody, settings).submit(groups)
    return _answer(groups, who.refused)


def _answer(groups: Sequence[Group], refused: Sequence[Refused]) -> JobDeleted:
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


def _tell_nobody(_: Group) -> None:
    pass
