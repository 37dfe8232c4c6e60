"""`POST /routerTransform`: many jobs become few answers, which rudder-server's router sends.

If it sends through the proxy, the jobs of a destination are one answer, and the proxy packs and
sends them. Otherwise each job is an answer by itself: all jobs of an answer get one status, which
would be that of any refused one. `sequences` says why, and how they are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from destination_router.contract.records import HttpRequest, Reject
from destination_router.pipeline.connection import Connection
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.jobs import Job, read_jobs
from destination_router.transformer.processing import Endpoint
from destination_router.transformer.proxy_calls import ProxyCalls
from destination_router.transformer.rest import Rest, encode, uncarried
from destination_router.transformer.sequences import (
    Carried,
    JobName,
    alone,
    job_name,
    of_job,
    together,
)
from destination_router.transformer.statuses import (
    ABORTED,
    ROUTED,
    EventStatus,
    event_status,
    given_up,
)

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


class _Mapped(msgspec.Struct):
    """A job that has something to send."""

    job: Job
    name: JobName
    requests: tuple[HttpRequest, ...]
    user_keys: tuple[str, ...]


class _JobGroup(msgspec.Struct):
    """The jobs of one destination that have something to send, in order."""

    connection: Connection
    overlay: str
    destination: msgspec.Raw
    jobs: list[_Mapped] = []


def batch_jobs(  # noqa: PLR0913 -- the last two by keyword
    name: str,
    destinations: Destinations,
    body: bytes,
    endpoint: Endpoint,
    *,
    counts: Counts | None = None,
    calls: ProxyCalls | None = None,
) -> bytes:
    """Transform jobs.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        body: the request's, with the jobs in their users' order.
        endpoint: where URLs are sent.
        counts: where the results are counted; None: nowhere.
        calls: what is known of the proxy; None: nothing.

    Returns:
        The answer's body, `{"output": [...]}`: every job in exactly one of its items.

    Raises:
        Reject: as `read_jobs`.
    """
    counts = counts or Counts()
    groups: dict[bytes, _JobGroup] = {}
    refused: list[Batch] = []
    for job in read_jobs(body):
        told = _join(groups, name, destinations, job, counts)
        if told is not None:
            refused.append(_refused(name, job, told))
    known = calls or ProxyCalls()
    batches = [batch for group in groups.values() for batch in _answers(group, endpoint, known)]
    return encode(_Output([*batches, *refused]))


def _join(
    groups: dict[bytes, _JobGroup], name: str, destinations: Destinations, job: Job, counts: Counts
) -> EventStatus | None:
    """Put a job with its destination's others, or say why it is not sent."""
    prepared = destinations.prepare(job)
    connection = prepared.connection
    if connection is None:
        counts.add("received", name)
        counts.unusable(name, prepared.fault)
        return EventStatus(ABORTED, prepared.problem, prepared.fault)
    decision = connection.decide(job.text() if prepared.message is None else prepared.message)
    unfit = uncarried(decision.requests) or _unwritable(decision.requests)
    if unfit is not None:
        decision = given_up(decision, unfit)
    counts.add("received", connection.name)
    counts.decided(connection.name, decision)
    if decision.result != "requests":
        return event_status(decision)
    # One configuration that depends on the message is as many connections as it has values.
    key = bytes(job.destination) + b"%d" % id(connection)
    group = groups.setdefault(key, _JobGroup(connection, prepared.overlay, job.destination))
    named = job_name(job.metadata)
    group.jobs.append(_Mapped(job, named, decision.requests, decision.user_keys))
    return None


def _unwritable(requests: Sequence[HttpRequest]) -> Reject | None:
    """Say if what our proxy reads beside requests cannot be written; else None."""
    try:
        for request in requests:
            encode((request.user_key, request.state_key, request.items, request.pairings))
    except (TypeError, ValueError):
        detail = "user_key, state_key, items and pairings have to be text in Unicode"
        return Reject("not_for_rudderstack", detail)
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


def _answers(group: _JobGroup, endpoint: Endpoint, calls: ProxyCalls) -> Iterator[Batch]:
    """Answer jobs with distinct ids together, in order, and the others one by one."""
    names = Counter(mapped.name.id for mapped in group.jobs)
    for is_named, some in groupby(
        group.jobs, lambda one: names[one.name.id] == 1 and one.name.id != ""
    ):
        jobs = list(some)
        destination = jobs[0].name.destination
        if is_named and len(jobs) > 1 and calls.expected(destination):
            calls.answered(destination)
            yield _together(group, jobs)
        else:
            yield from (_alone(group, mapped, endpoint) for mapped in jobs)


def _alone(group: _JobGroup, mapped: _Mapped, endpoint: Endpoint) -> Batch:
    outputs, metadata = alone(mapped.requests, mapped.job.metadata, group.overlay, endpoint)
    return Batch(
        metadata=[metadata],
        destination=group.destination,
        batched=False,
        status_code=ROUTED,
        batched_request=outputs[0] if len(outputs) == 1 else outputs,
    )


def _together(group: _JobGroup, jobs: Sequence[_Mapped]) -> Batch:
    requests = [of_job(one, mapped.name.id) for mapped in jobs for one in mapped.requests]
    return Batch(
        metadata=[mapped.job.metadata for mapped in jobs],
        destination=group.destination,
        batched=True,
        status_code=ROUTED,
        batched_request=together(Carried(requests, _numbered_keys(jobs), group.overlay)),
    )


def _numbered_keys(jobs: Sequence[_Mapped]) -> dict[str, list[int]]:
    """Return which jobs keep their order among each other: a user's, by either side's view."""
    numbers: dict[tuple[str, str], int] = {}
    return {
        mapped.name.id: [
            numbers.setdefault(key, len(numbers))
            for key in (("theirs", mapped.name.order), *(("ours", k) for k in mapped.user_keys))
            if key[1]
        ]
        for mapped in jobs
    }
