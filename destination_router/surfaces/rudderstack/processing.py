"""`POST /v0/destinations/{type}`: each event by itself, in order, one output for each request.

rudder-server's processor asks. Whatever an event or a plugin does, every event is answered: one
that were left out would be lost without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

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
    answers: list[Routed | Refused] = []
    for job in jobs:
        message = bytes(job.message)
        prepared = destinations.prepare(bytes(job.destination), message)
        if prepared.connection is None:
            told = Verdict(ABORTED, prepared.problem, prepared.fault)
            answers.append(refused(name, job, told, FEATURE))
            continue
        decision = prepared.connection.decide(message)
        if decision.result != "requests":
            answers.append(refused(name, job, verdict(decision), FEATURE))
            continue
        for request in decision.requests:
            output = rest_output(request, endpoint(request.url), decision.anonymous_id or "")
            answers.append(Routed(output, job.metadata))
    return msgspec.json.encode(answers)


def refused(name: str, job: Job, told: Verdict, feature: str) -> Refused:
    """Answer an event that is not sent."""
    tags = told.tags(feature, name, job.metadata)
    return Refused(job.metadata, told.status, told.error, tags)
