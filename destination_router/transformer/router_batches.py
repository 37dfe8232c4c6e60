"""`POST /routerTransform`: many jobs become few requests, packed by the plugin.

rudder-server's router asks, and sends the requests of one answer in order, for all of its jobs at
once; each job may stand in one answer only. So requests are answered together exactly where a job
has a part in both: an answer ends where no job goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from destination_router.contract.records import HttpRequest
from destination_router.pipeline.connection import Connection
from destination_router.pipeline.packing import packed
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.job_items import with_items
from destination_router.transformer.jobs import Job, read_jobs
from destination_router.transformer.processing import Endpoint
from destination_router.transformer.rest import Rest, rest_output
from destination_router.transformer.statuses import ABORTED, ROUTED, EventStatus, event_status

FEATURE = "router"


class Batch(msgspec.Struct, rename="camel", omit_defaults=True):
    """One answer: what to send for which jobs, or why nothing is sent for one."""

    metadata: list[msgspec.Raw]
    destination: msgspec.Raw
    batched: bool
    status_code: int
    batched_request: Rest | list[Rest] | dict[str, object] = {}
    error: str | None = None
    stat_tags: dict[str, str] | None = None


class _Output(msgspec.Struct):
    output: list[Batch]


class _PackedJobs(msgspec.Struct):
    """The jobs of one destination that have something to send.

    Attributes:
        requests: theirs, in order; each carries the index of its job as its one message id.
    """

    connection: Connection
    destination: msgspec.Raw
    jobs: dict[str, Job] = {}
    requests: list[HttpRequest] = []


def batch_jobs(name: str, destinations: Destinations, body: bytes, endpoint: Endpoint) -> bytes:
    """Transform and pack jobs.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        body: the request's, with the jobs in their users' order.
        endpoint: where URLs are sent.

    Returns:
        The answer's body, `{"output": [...]}`: every job in exactly one of its items.

    Raises:
        Reject: as `read_jobs`.
    """
    groups: dict[bytes, _PackedJobs] = {}
    refused: list[Batch] = []
    for index, job in enumerate(read_jobs(body)):
        told = _join(groups, destinations, job, str(index))
        if told is not None:
            refused.append(_refused(name, job, told))
    batches = [batch for group in groups.values() for batch in _packed(group, endpoint)]
    return msgspec.json.encode(_Output([*batches, *refused]))


def _join(
    groups: dict[bytes, _PackedJobs], destinations: Destinations, job: Job, index: str
) -> EventStatus | None:
    """Put a job with its destination's others, or say why it is not sent."""
    prepared = destinations.prepare(job)
    connection = prepared.connection
    if connection is None:
        return EventStatus(ABORTED, prepared.problem, prepared.fault)
    decision = connection.decide(job.text())
    if decision.result != "requests":
        return event_status(decision)
    # One configuration that depends on the message is as many connections as it has values.
    key = bytes(job.destination) + b"%d" % id(connection)
    group = groups.setdefault(key, _PackedJobs(connection, job.destination))
    group.jobs[index] = job
    # Two jobs may carry the same message: only its place tells a job.
    group.requests.extend(
        msgspec.structs.replace(request, message_ids=(index,)) for request in decision.requests
    )
    return None


def _refused(name: str, job: Job, told: EventStatus) -> Batch:
    return Batch(
        metadata=[job.metadata],
        destination=job.destination,
        batched=False,
        status_code=told.status,
        error=told.error,
        stat_tags=told.tags(FEATURE, name, job.metadata),
    )


def _packed(group: _PackedJobs, endpoint: Endpoint) -> Iterator[Batch]:
    for requests in _separable(packed(group.connection, group.requests)):
        indices = list(
            dict.fromkeys(index for request in requests for index in request.message_ids)
        )
        outputs = [rest_output(request, endpoint(request.url)) for request in requests]
        yield Batch(
            metadata=with_items(
                {index: group.jobs[index].metadata for index in indices},
                [(output.endpoint, r.items) for output, r in zip(outputs, requests, strict=True)],
            ),
            destination=group.destination,
            batched=len(indices) > 1,
            status_code=ROUTED,
            batched_request=outputs[0] if len(outputs) == 1 else outputs,
        )


def _separable(requests: Sequence[HttpRequest]) -> Iterator[list[HttpRequest]]:
    """Cut a sequence of requests wherever no job has requests on both sides."""
    last = {index: at for at, request in enumerate(requests) for index in request.message_ids}
    together: list[HttpRequest] = []
    until = 0
    for at, request in enumerate(requests):
        together.append(request)
        until = max([until, *(last[index] for index in request.message_ids)])
        if at >= until:
            yield together
            together = []
