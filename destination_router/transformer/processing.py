"""`POST /v0/destinations/{type}`: each event by itself, in order, one output for each request.

rudder-server's processor asks. Whatever an event or a plugin does, every event is answered: one
that were left out would be lost without a trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import msgspec

from destination_router.pipeline.answers import content
from destination_router.pipeline.connection import Decision, Mapped
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations
from destination_router.transformer.jobs import DecodedJob, Job, each_job, read_jobs
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
        counts: where what happens is counted; None: nowhere.

    Returns:
        The answer's body: a JSON array, in the order of the jobs.

    Raises:
        Reject: as `read_jobs`.
    """
    counts = counts or Counts()
    received: list[str] = []
    answer: list[bytes | msgspec.Raw] = [b"["]
    # Whoever masks looks at an event's bytes first.
    jobs = read_jobs(body) if destinations.some_private else each_job(body)
    for job in jobs:
        # Written at once, so that what is alive is one event's and not a whole request's.
        made = _made(name, destinations, job, counts, received)
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
    job: Job | DecodedJob,
    counts: Counts,
    received: list[str],
) -> Mapped | Decision | Refused:
    prepared = destinations.prepare(job)
    connection = prepared.connection
    if connection is None:
        received.append(name)
        counts.unusable(name, prepared.fault)
        told = EventStatus(ABORTED, prepared.problem, prepared.fault)
        return refused(name, job, told, FEATURE)
    received.append(connection.name)
    if prepared.message is not None:
        made = connection.map(prepared.message)
    elif type(job) is DecodedJob:
        made = connection.map_decoded(job.message)
    else:
        made = connection.map(job.text())
    for request in made.requests:
        if request.params or request.content is not None:  # as of few
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
    contents = made.contents if type(made) is Mapped else map(content, made.requests)
    for request, body in zip(made.requests, contents):  # noqa: B905 -- as many, and it costs
        answer.append(b'{"output":')
        answer += written_output(request, body, endpoint(request.url), user_id)
        answer += b',"metadata":', metadata, _ROUTED


def refused(name: str, job: Job | DecodedJob, told: EventStatus, feature: str) -> Refused:
    """Answer an event that is not sent."""
    tags = told.tags(feature, name, job.metadata)
    return Refused(job.metadata, told.status, told.error, tags)
