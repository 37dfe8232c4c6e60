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

_encode_into = msgspec.json.Encoder().encode_into

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
    answer = bytearray(b"[")
    for job in jobs:
        # Written at once, so that what is alive is one event's and not a whole request's.
        for output in _outputs(name, destinations, job, endpoint):
            _encode_into(output, answer, -1)
            answer += b","
    answer[max(1, len(answer) - 1) :] = b"]"  # in the place of the last comma
    return bytes(answer)


def _outputs(
    name: str, destinations: Destinations, job: Job, endpoint: Endpoint
) -> list[Routed] | list[Refused]:
    message = bytes(job.message)
    prepared = destinations.prepare(bytes(job.destination), message)
    if prepared.connection is None:
        told = Verdict(ABORTED, prepared.problem, prepared.fault)
        return [refused(name, job, told, FEATURE)]
    decision = prepared.connection.decide(message)
    if decision.result != "requests":
        return [refused(name, job, verdict(decision), FEATURE)]
    whose = decision.anonymous_id or ""
    return [
        Routed(rest_output(request, endpoint(request.url), whose), job.metadata)
        for request in decision.requests
    ]


def refused(name: str, job: Job, told: Verdict, feature: str) -> Refused:
    """Answer an event that is not sent."""
    tags = told.tags(feature, name, job.metadata)
    return Refused(job.metadata, told.status, told.error, tags)
