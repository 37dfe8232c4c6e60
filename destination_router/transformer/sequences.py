"""Writes requests that belong together, which rudder-server hands from us to our proxy.

rudder-server sends the requests of an answer one after the other, each for all of its jobs, and
goes on to the next unless the status asks for a retry; with the proxy the last status is a job's,
so a refusal of an earlier request would be lost. Without the proxy it stops at the first status
that is no success, and every job gets that one. So an answer has one of two forms:

- `alone`: one job. Each of its requests can be sent as it is, which is right without the proxy.
  They are marked: the proxy sends nothing for one that comes before the last, and with the last
  all of them, in order. So that it can, those before stand in the `destInfo` of the job's metadata,
  which rudder-server hands to the proxy as it got it. A mark is a body format that is empty:
  rudder-server passes it over.
- `together`: many jobs. One request that only the proxy can carry out. Whoever else sends it sends
  nothing, and tells rudder-server to try again (a body that is no object is a 500 there).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from destination_router.contract.records import HttpRequest
from destination_router.transformer.processing import Endpoint
from destination_router.transformer.rest import Body, Proxied, Rest, encode, rest_output

_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
THE_JOB = "0"
"""The id of a job that is alone."""

_NOWHERE = "proxy:"
"""An endpoint to which nobody can send by mistake."""


class Carried(msgspec.Struct, omit_defaults=True):
    """Requests of several jobs, in order.

    Attributes:
        requests: single ones (`of_job`); the one message id of each is its job's.
        keys: by job, whose order it belongs to: jobs with a number in common stay in order.
        connection: the connection of a router.toml that stands for the destination; empty: none.
    """

    requests: list[HttpRequest] = []
    keys: dict[str, list[int]] = {}
    connection: str = ""

    @property
    def jobs(self) -> set[str]:
        """All that it is for."""
        return {request.message_ids[0] for request in self.requests}


class _DestInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands in the `destInfo` of a job that is alone."""

    earlier: list[HttpRequest] = []
    connection: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    job_id: int | None = None
    destination_id: str = ""
    user_id: str | None = None


class _Informed(msgspec.Struct, rename="camel"):
    dest_info: _DestInfo = _DestInfo()


class _Later(Body, rename={"later": "LATER"}):
    later: dict[str, Any] = msgspec.field(default_factory=dict)


class _Last(Body, rename={"last": "LAST"}):
    last: dict[str, Any] = msgspec.field(default_factory=dict)


_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_informed = msgspec.json.Decoder(_Informed).decode
_decode_carried = msgspec.json.Decoder(Carried).decode


class JobName(msgspec.Struct, frozen=True):
    """The identity of a job.

    Attributes:
        id: its id as text; empty where rudder-server gave none.
        destination: the destination's id.
        order: rudder-server keeps the jobs with this in their order; empty where it is not known.
    """

    id: str = ""
    destination: str = ""
    order: str = ""


def job_name(metadata: msgspec.Raw) -> JobName:
    """Read a job's metadata. Unreadable parts are blank."""
    try:
        found = _decode_metadata(metadata)
    except _UNDECODABLE:
        return JobName()
    number = "" if found.job_id is None else str(found.job_id)
    return JobName(number, found.destination_id, found.user_id or "")


def of_job(request: HttpRequest, job: str) -> HttpRequest:
    """Say whose a request is, and leave out what neither a `pack` nor a sender looks at."""
    return msgspec.structs.replace(
        request, message_ids=(job,), notes=(), identity=None, costs=None, bulk_costs=None
    )


def alone(
    requests: Sequence[HttpRequest], metadata: msgspec.Raw, connection: str, endpoint: Endpoint
) -> tuple[list[Rest], msgspec.Raw]:
    """Write the requests of one job, and its metadata.

    Args:
        requests: in order.
        metadata: the job's.
        connection: as in `Carried`.
        endpoint: where URLs are sent.
    """
    earlier = requests[:-1]
    outputs = [rest_output(request, endpoint(request.url)) for request in requests]
    if not earlier and not connection:
        return outputs, metadata
    info = _DestInfo([of_job(one, THE_JOB) for one in earlier], connection)
    informed = _with_info(metadata, info)
    if earlier and informed is not None:
        for output in outputs[:-1]:
            output.body = _Later(**_formats(output))
        outputs[-1].body = _Last(**_formats(outputs[-1]))
    return outputs, metadata if informed is None else informed


def together(carried: Carried) -> Rest:
    """Write the requests of many jobs as one."""
    text = encode(carried).decode()
    return Rest(endpoint=_NOWHERE, body={"SEQUENCE": text})


def is_sent_later(proxied: Proxied) -> bool:
    """Tell a request that is sent along with a later one of its job."""
    return proxied.body is not None and proxied.body.later is not None


def read_together(proxied: Proxied) -> Carried | None:
    """Read what `together` wrote; None where it is another request. Empty: it is damaged."""
    text = None if proxied.body is None else proxied.body.sequence
    if text is None:
        return None
    try:
        return _decode_carried(text)
    except _UNDECODABLE:
        return Carried()


def read_alone(proxied: Proxied, request: HttpRequest, metadata: msgspec.Raw) -> Carried:
    """Put before a request what is to be sent ahead of it. Empty: that was lost on the way.

    Args:
        proxied: what was asked of the proxy.
        request: the same, as a request.
        metadata: the job's.
    """
    try:
        info = _decode_informed(metadata).dest_info
    except _UNDECODABLE:
        info = _DestInfo()  # of somebody else's making
    if proxied.body is not None and proxied.body.last is not None and not info.earlier:
        return Carried()
    return Carried([*info.earlier, of_job(request, THE_JOB)], {}, info.connection)


def _formats(output: Rest) -> dict[str, Any]:
    return msgspec.structs.asdict(output.body) if isinstance(output.body, Body) else {}


def _with_info(metadata: msgspec.Raw, info: _DestInfo) -> msgspec.Raw | None:
    """Write `destInfo` in front of all that is there, which stays as it was written.

    None: it is no object, and nothing can be written into it.
    """
    raw = bytes(metadata).strip()
    if not raw.startswith(b"{"):
        return None
    if b'"destInfo"' in raw:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        members.pop("destInfo", None)
        raw = msgspec.json.encode(members)
    comma = b"" if raw[1:].lstrip().startswith(b"}") else b","
    return msgspec.Raw(b'{"destInfo":' + encode(info) + comma + raw[1:])
