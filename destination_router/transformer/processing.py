"""`POST /v0/destinations/{type}`: each event by itself, in order, one output for each request.

rudder-server's processor asks. Every event gets an answer, whatever the event or a plugin does: an
event without one would be lost without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, final

import msgspec

from destination_router.contract.records import HttpRequest
from destination_router.pipeline.answers import content
from destination_router.pipeline.connection import AT_ONCE, Connection, Decision, Mapped
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations, Prepared
from destination_router.transformer.jobs import Beside, DecodedJob, Job, each_job, read_jobs
from destination_router.transformer.rest import uncarried, written_output
from destination_router.transformer.statuses import (
    ABORTED,
    ROUTED,
    EventStatus,
    event_status,
    given_up,
)

FEATURE = "processor"

_ROUTED = b',"statusCode":%d},' % ROUTED
_encode = msgspec.json.Encoder().encode

Endpoint = Callable[[str], str]
"""Says where a URL is sent: elsewhere, if the configuration says so."""


@final
class Refused(msgspec.Struct, rename="camel", omit_defaults=True):
    """An event without a request: filtered, or aborted."""

    metadata: msgspec.Raw
    status_code: int
    error: str
    stat_tags: dict[str, str] | None = None


def process(
    name: str,
    destinations: Destinations,
    body: bytes,
    endpoint: Endpoint,
    counts: Counts | None = None,
) -> bytes:
    """Transform events.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        body: the request's, with the events.
        endpoint: where URLs are sent.
        counts: where the results are counted; None: nowhere.

    Returns:
        The answer's body: a JSON array, in the order of the jobs.

    Raises:
        Reject: as `read_jobs`.
    """
    counts = counts or Counts()
    received: list[str] = []
    answer: list[bytes | msgspec.Raw] = [b"["]
    # A connection that masks reads an event's bytes first.
    jobs = iter(read_jobs(body)) if destinations.some_private else each_job(body)
    # What is alive is some events' and not a whole request's: a processor's caches hold no more.
    job: Beside
    while some := list(islice(jobs, AT_ONCE)):
        for job, made in zip(some, _made(name, destinations, some, counts, received), strict=True):
            if type(made) is Refused:
                answer.append(_encode(made) + b",")
            else:
                _write(made, job.metadata, endpoint, answer)
    counts.received(received)
    if len(answer) > 1:
        answer[-1] = answer[-1][:-1]  # the last comma
    answer.append(b"]")
    return b"".join(answer)


def _made(
    name: str,
    destinations: Destinations,
    jobs: Sequence[Job | DecodedJob],
    counts: Counts,
    received: list[str],
) -> list[Mapped | Decision | Refused]:
    """Take some jobs through each step in turn."""
    prepared = destinations.prepare_all(jobs)
    read = [_read(one, job) for one, job in zip(prepared, jobs, strict=True)]
    first = prepared[0]
    answers: list[Any]
    if first.connection is not None and prepared.count(first) == len(prepared):  # as nearly always
        answers = first.connection.answers(read)
    else:
        answers = [
            None if one.connection is None else one.connection.answer(found)
            for one, found in zip(prepared, read, strict=True)
        ]
    made: list[Mapped | Decision | Refused] = []
    one: Prepared
    for job, one, found, answer in zip(jobs, prepared, read, answers, strict=True):
        connection = one.connection
        if connection is None:
            received.append(name)
            counts.unusable(name, one.fault)
            told = EventStatus(ABORTED, one.problem, one.fault)
            made.append(refused(name, job, told, FEATURE))
        else:
            received.append(connection.name)
            made.append(_judged(name, job, connection, connection.mapped(found, answer), counts))
    return made


def _read(prepared: Prepared, job: Job | DecodedJob) -> Any:
    connection = prepared.connection
    if connection is None:
        return None
    if prepared.message is not None:
        return connection.read(prepared.message)
    if type(job) is DecodedJob:
        decoded: DecodedJob = job
        return connection.read_decoded(decoded.message)
    return connection.read(job.text())


def _judged(
    name: str,
    job: Job | DecodedJob,
    connection: Connection,
    made: Mapped | Decision,
    counts: Counts,
) -> Mapped | Decision | Refused:
    request: HttpRequest
    for request in made.requests:
        if request.params or request.content is not None:  # as for few
            unfit = uncarried(made.requests)
            if unfit is not None:
                made = given_up(made, unfit)
            break
    counts.decided(connection.name, made)
    if type(made) is Mapped or made.result == "requests":
        return made
    return refused(name, job, event_status(made), FEATURE)


def _write(
    made: Mapped | Decision,
    metadata: msgspec.Raw,
    endpoint: Endpoint,
    answer: list[bytes | msgspec.Raw],
) -> None:
    """Add an output for each request, with a comma after it."""
    user_id = made.anonymous_id or ""
    requests: Sequence[HttpRequest]
    contents: Iterable[bytes]
    if type(made) is Mapped:
        mapped: Mapped = made
        requests, contents = mapped.requests, mapped.contents
    else:
        requests = made.requests
        contents = map(content, requests)
    request: HttpRequest
    for request, body in zip(requests, contents):  # noqa: B905 -- as many, and it costs
        answer.append(b'{"output":')
        answer += written_output(request, body, endpoint(request.url), user_id)
        answer += b',"metadata":', metadata, _ROUTED


def refused(name: str, job: Job | DecodedJob, told: EventStatus, feature: str) -> Refused:
    """Answer an event that is not sent."""
    tags = told.tags(feature, name, job.metadata)
    return Refused(job.metadata, told.status, told.error, tags)
