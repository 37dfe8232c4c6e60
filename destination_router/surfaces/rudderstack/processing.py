"""`POST /v0/destinations/{type}`: each event by itself, in order, one output for each request.

rudder-server's processor asks. Whatever an event or a plugin does, every event is answered: one
that were left out would be lost without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from destination_router.pipeline.connection import Connection
from destination_router.surfaces.rudderstack.destinations import Destinations
from destination_router.surfaces.rudderstack.jobs import Job
from destination_router.surfaces.rudderstack.rest import Rest, rest_output
from destination_router.surfaces.rudderstack.verdicts import ABORTED, ROUTED, Verdict, verdict

FEATURE = "processor"

Endpoint = Callable[[str], str]
"""Says where a URL is sent: elsewhere, if the configuration says so."""


class Routed(msgspec.Struct, rename="camel"):
    """One request to send."""

    output: Rest
    metadata: msgspec.Raw
    status_code: int = ROUTED


class Refused(msgspec.Struct, rename="camel", omit_defaults=True):
    """An event without a request: filtered, or aborted."""

    metadata: msgspec.Raw
    status_code: int
    error: str
    stat_tags: dict[str, str] | None = None


def process(
    name: str, destinations: Destinations, jobs: Sequence[Job], endpoint: Endpoint
) -> bytes:
    """Transform events.

    Args:
        name: the plugin's.
        destinations: the plugin's, as configured.
        jobs: the events.
        endpoint: where URLs are sent.

    Returns:
        The answer's body: a JSON array, in the order of the jobs.
    """
    answers = [answer for job in jobs for answer in _answers(name, destinations, job, endpoint)]
    return msgspec.json.encode(answers)


def _answers(
    name: str, destinations: Destinations, job: Job, endpoint: Endpoint
) -> Iterator[Routed | Refused]:
    message = bytes(job.message)
    prepared = destinations.prepare(bytes(job.destination), message)
    if prepared.connection is None:
        yield refused(name, job, Verdict(ABORTED, prepared.problem, prepared.fault), FEATURE)
    else:
        yield from _mapped(name, prepared.connection, job, message, endpoint)


def _mapped(
    name: str, connection: Connection, job: Job, message: bytes, endpoint: Endpoint
) -> Iterator[Routed | Refused]:
    decision = connection.decide(message)
    refusal = verdict(decision)
    if refusal is not None:
        yield refused(name, job, refusal, FEATURE)
        return
    user_id = decision.anonymous_id or ""
    for request in decision.requests:
        yield Routed(rest_output(request, endpoint(request.url), user_id), job.metadata)


def refused(name: str, job: Job, told: Verdict, feature: str) -> Refused:
    """Answer an event that is not sent."""
    tags = told.tags(feature, name, job.metadata)
    return Refused(job.metadata, told.status, told.error, tags)
