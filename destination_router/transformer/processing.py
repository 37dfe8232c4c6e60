"""`POST /v0/destinations/{type}`: each event by itself, in order, one output for each request.

rudder-server's processor asks. Every event gets an answer, whatever the event or a plugin does: an
event without one would be lost without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast, final

import msgspec

from destination_router.contract.messages import Message
from destination_router.contract.records import HttpRequest
from destination_router.pipeline.answers import content, lone_contents
from destination_router.pipeline.connection import AT_ONCE, Connection, Decision, Ended, Mapped
from destination_router.transformer.counts import Counts
from destination_router.transformer.destinations import Destinations, Prepared
from destination_router.transformer.jobs import Beside, DecodedJob, Job, some_jobs
from destination_router.transformer.rest import (
    JSON_HEADERS,
    Body,
    Rest,
    encode,
    rest_output,
    uncarried,
)
from destination_router.transformer.statuses import (
    ABORTED,
    ROUTED,
    EventStatus,
    event_status,
    given_up,
)

FEATURE = "processor"

_BEHIND = b'},"metadata":'
"""What comes between the `userId` at the end of an output and the metadata."""
_ROUTED = b',"statusCode":%d},' % ROUTED
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines

Endpoint = Callable[[str], str]
"""Says where a URL is sent: elsewhere, if the configuration says so."""


@final
class Refused(msgspec.Struct, rename="camel", omit_defaults=True):
    """An event without a request: filtered, or aborted."""

    metadata: msgspec.Raw
    status_code: int
    error: str
    stat_tags: dict[str, str] | None = None


@final
class _Answer(msgspec.Struct):
    """What is written of an answer so far, and what is needed for the rest.

    Attributes:
        received: how many events there were, by the connection that they are counted with.
        frames: by URL, what stands before the body of a plain request's output, and behind it.
        pieces: of the answer; a comma ends each event.
    """

    name: str
    destinations: Destinations
    endpoint: Endpoint
    counts: Counts
    received: dict[str, int] = {}
    frames: dict[str, tuple[bytes, bytes]] = {}
    pieces: list[bytes | msgspec.Raw] = []


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
    answer = _Answer(name, destinations, endpoint, counts or Counts())
    # A connection that masks reads an event's bytes first.
    jobs = some_jobs(body, AT_ONCE, as_text=destinations.some_private)
    # What is alive is some events' and not a whole request's: a processor's caches hold no more.
    for some in jobs:
        _add(answer, some)
        del some  # before the next are made
    for connection, count in answer.received.items():
        answer.counts.add("received", connection, count=count)
    pieces = answer.pieces
    if pieces:
        pieces[-1] = pieces[-1][:-1]  # the last comma
    return b"".join((b"[", *pieces, b"]"))


def _add(answer: _Answer, jobs: Sequence[Job | DecodedJob]) -> None:
    """Answer some events."""
    prepared = answer.destinations.prepare_alike(jobs)
    if prepared is not None:  # as nearly always
        _add_alike(answer, prepared, jobs)
    else:
        for job in jobs:
            _add_alike(answer, answer.destinations.prepare(job), [job])


def _add_alike(answer: _Answer, prepared: Prepared, jobs: Sequence[Job | DecodedJob]) -> None:
    """Answer events of one destination: they take each step in turn."""
    connection = prepared.connection
    name = answer.name if connection is None else connection.name
    answer.received[name] = answer.received.get(name, 0) + len(jobs)
    if connection is None:
        for job in jobs:
            answer.counts.unusable(answer.name, prepared.fault)
            told = EventStatus(ABORTED, prepared.problem, prepared.fault)
            answer.pieces.append(_refused(answer.name, job, told))
        return
    read = _read(prepared, connection, jobs)
    _add_made(answer, connection, jobs, read, connection.answers(read))


def _read(
    prepared: Prepared, connection: Connection, jobs: Sequence[Job | DecodedJob]
) -> list[Message | Ended]:
    if prepared.message is not None:
        return [connection.read(prepared.message) for _ in jobs]
    read: list[Message | Ended] = []
    together: list[Message] = []
    decoded: DecodedJob
    for job in jobs:
        if type(job) is Job:
            read += connection.read_all_decoded(together)
            together.clear()
            read.append(connection.read(job.text()))
        else:
            decoded = job
            together.append(decoded.message)
    return read + connection.read_all_decoded(together)


def _add_made(
    answer: _Answer,
    connection: Connection,
    jobs: Sequence[Job | DecodedJob],
    read: Sequence[Message | Ended],
    answers: Sequence[Any],
) -> None:
    """Check what the plugin made of events, count it, and write it."""
    frames, pieces = answer.frames, answer.pieces
    notes: list[Any] = []
    job: Beside
    request: HttpRequest
    steps = zip(jobs, read, answers, lone_contents(answers), _user_ids(read))  # noqa: B905
    for job, found, given, body, user_id in steps:
        if body is not None:
            request = given[0]
            if _is_plain(request):  # as of most
                frame = frames.get(request.url)
                head, tail = _framed(answer, request.url) if frame is None else frame
                pieces += (head, body, tail, user_id, _BEHIND, job.metadata, _ROUTED)
                if request.notes:
                    notes += request.notes
                continue
        _add_one(answer, connection, job, connection.mapped(found, given))
    if notes:
        answer.counts.noted(connection.name, tuple(notes))


def _user_ids(read: Sequence[Message | Ended]) -> list[bytes]:
    """Write the `userId` of each event's output; what comes behind the last is nobody's."""
    ids: list[str] = []
    message: Message
    for one in read:
        if type(one) is Ended:
            ids.append("")
        else:
            message = one
            ids.append(message.anonymous_id or "")
    return _encode_lines(ids).split(b"\n")


def _is_plain(request: HttpRequest) -> bool:
    """Whether nothing but the URL and the body differs from other requests."""
    return (
        type(request.json) is dict
        and type(request.notes) is tuple
        and request.method == "POST"
        and request.content is None
        and not (request.headers or request.params or request.auth or request.gzip)
    )


def _framed(answer: _Answer, url: str) -> tuple[bytes, bytes]:
    frame = answer.frames.get(url)
    if frame is None:
        frame = answer.frames[url] = _frame(answer.endpoint(url))
    return frame


@lru_cache(maxsize=256)
def _frame(url: str) -> tuple[bytes, bytes]:
    """Write the output of a plain request up to its body, and from there up to its `userId`."""
    body = Body(json=cast("Any", msgspec.Raw(b"\0")))  # which JSON never holds
    output = encode(Rest(endpoint=url, headers=JSON_HEADERS, body=body))
    head, _, tail = output.partition(b"\0")
    return b'{"output":' + head, tail.removesuffix(b'""}')


def _add_one(answer: _Answer, connection: Connection, job: Beside, made: Mapped | Decision) -> None:
    """Count an event and write its outputs, each with a comma after it, or why it has none."""
    unfit = uncarried(made.requests)
    if unfit is not None:
        made = given_up(made, unfit)
    answer.counts.decided(connection.name, made)
    if type(made) is not Mapped and made.result != "requests":
        answer.pieces.append(_refused(answer.name, job, event_status(made)))
        return
    user_id = made.anonymous_id or ""
    bodies = made.contents if type(made) is Mapped else map(content, made.requests)
    for request, body in zip(made.requests, bodies, strict=True):
        answer.pieces += (*_output(answer, request, body, user_id), job.metadata, _ROUTED)


def _output(answer: _Answer, request: HttpRequest, body: bytes, user_id: str) -> tuple[bytes, ...]:
    """Write a request up to the metadata."""
    if _is_plain(request):
        head, tail = _framed(answer, request.url)
        return head, body, tail, _encode(user_id), _BEHIND
    whole = rest_output(request, answer.endpoint(request.url), user_id)
    return b'{"output":', encode(whole), b',"metadata":'


def _refused(name: str, job: Beside, told: EventStatus) -> bytes:
    """Answer an event that is not sent."""
    tags = told.tags(FEATURE, name, job.metadata)
    return _encode(Refused(job.metadata, told.status, told.error, tags)) + b","
