"""Reads the body of a transformation request into jobs: event, metadata and destination.

Nothing is decoded that need not be: metadata is echoed byte for byte. One item that is no JSON
costs its neighbours nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, final

import msgspec

from destination_router.contract.messages import Message, wire_json, with_wire
from destination_router.contract.records import Reject
from destination_router.pipeline.decoding import UNDECODABLE, from_root
from destination_router.pipeline.message_root import Root
from destination_router.pipeline.normalise import decode_json, is_utf8
from destination_router.pipeline.wire import members, split_list

_NULL = msgspec.Raw(b"null")
_NO_METADATA = msgspec.Raw(b"{}")
_UNFIT = (Reject, *UNDECODABLE)
_DECODED_BYTES = 2 * 1024 * 1024
_ADDRESS = b',"destinationId":"'
_NOTHING_ENDS_SO = b"\0"
_LONGEST_END = 1024
"""An address farther from the end of metadata is not looked for: that end would be copied."""
_MISSES = 8
"""After so many metadata of a request that do not end as the one before, no ends are compared."""


class Beside(msgspec.Struct, kw_only=True, gc=False):
    """What comes with an event.

    Attributes:
        metadata: rudder-server's notes on it as wire JSON, to be echoed.
        destination: the destination as wire JSON, with its `Config`; `null` where there is none.
    """

    metadata: msgspec.Raw = _NO_METADATA
    destination: msgspec.Raw = _NULL


@final
class Job(Beside, gc=False):
    """One event to transform.

    Attributes:
        message: the event as wire JSON; `null` where there is none.
    """

    message: msgspec.Raw = _NULL

    def text(self) -> bytes:
        """The event as wire JSON."""
        return bytes(self.message)


class DecodedJob(Beside, gc=False):
    """As `Job`, with its event decoded along with the rest of the request."""

    message: Message

    def text(self) -> bytes:
        """The event as wire JSON."""
        return wire_json(self.message)


class _RootJob(DecodedJob, gc=False):
    """One that was decoded up to its event's type: a decoder would have to find that first.

    Once the event is made of its root, it takes its place.
    """

    message: Root  # type: ignore[assignment]


_J = TypeVar("_J", Job, _RootJob)
_T = TypeVar("_T")


class _Envelope(msgspec.Struct, Generic[_J]):
    """An object with events: `/routerTransform`'s, or the compacted form of either request."""

    input: list[_J] = []
    destinations: dict[str, msgspec.Raw] | None = None


class _DestType(msgspec.Struct):
    dest_type: str = msgspec.field(default="", name="destType")


class _Addressed(msgspec.Struct, gc=False):
    destination_id: str = msgspec.field(default="", name="destinationId")


_decode_jobs = msgspec.json.Decoder(list[Job]).decode
_decode_envelope = msgspec.json.Decoder(_Envelope[Job]).decode
_decode_roots = msgspec.json.Decoder(list[_RootJob]).decode
_decode_root_envelope = msgspec.json.Decoder(_Envelope[_RootJob]).decode
_decode_type = msgspec.json.Decoder(_DestType).decode
_decode_address = msgspec.json.Decoder(_Addressed).decode


def read_jobs(body: bytes) -> list[Job]:
    """Read the events of a request, in order.

    Args:
        body: an array of jobs (`[{message, metadata, destination}]`), or an object that holds
            them as `input`; with `destinations` beside it, by id, the object is the compacted
            form, in which a job's metadata names its destination.

    Raises:
        Reject: `invalid_json`, where the body as a whole cannot be read.
    """
    jobs = _listed(body) if _is_list(body) else _addressed(_opened(body))
    for job in jobs:  # what is echoed
        job.metadata, job.destination = as_utf8(job.metadata), as_utf8(job.destination)
    return jobs


def some_jobs(
    body: bytes, most: int, *, as_text: bool = False
) -> Iterator[Sequence[Job | DecodedJob]]:
    """Read the events of a request, in order, and decode them together if possible.

    Some are let go before the next are asked for: what was decoded takes several times its bytes,
    and more than a processor has at hand.

    Args:
        body: as in `read_jobs`.
        most: how many events come at once.
        as_text: whether events are to be left as they came.

    Raises:
        Reject: as `read_jobs`, and at once.
    """
    decoded = None if as_text else _decoded(body)
    if decoded:
        return _whole(decoded, most, _Texts(body).text)
    return _some_of([*read_jobs(body)], most)


def _some_of(jobs: list[_T], most: int) -> Iterator[list[_T]]:
    """Take a list apart from its beginning. Nothing is left in it."""
    jobs.reverse()
    while jobs:
        some = jobs[: -most - 1 : -1]
        del jobs[-most:]
        yield some
        del some


def _decoded(body: bytes) -> list[_RootJob] | None:
    """Decode a whole request at once; None if any part needs a closer look."""
    if len(body) > _DECODED_BYTES or not is_utf8(body):
        return None
    try:
        if _is_list(body):
            return _decode_roots(body)
        return _addressed(_decode_root_envelope(body))
    except UNDECODABLE:
        return None


def _whole(
    jobs: list[_RootJob], most: int, text: Callable[[int], bytes]
) -> Iterator[Sequence[Job | DecodedJob]]:
    """Make the messages of jobs that were decoded; `text` finds the JSON of one by its number."""
    number = 0
    for some in _some_of(jobs, most):
        yield _built(some, number, text)
        number += most


def _built(
    jobs: list[_RootJob], number: int, text: Callable[[int], bytes]
) -> list[Job | DecodedJob]:
    built: list[Job | DecodedJob] = []
    job: _RootJob
    for job in jobs:
        message = from_root(job.message)
        if message is None:
            raw = msgspec.Raw(text(number))
            built.append(Job(raw, metadata=job.metadata, destination=job.destination))
        else:
            job.message = with_wire(message, (text, number))  # type: ignore[assignment]
            built.append(job)
        number += 1
    return built


class _Texts:
    """The events of a request as wire JSON, for the few whose JSON is needed."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def text(self, at: int) -> bytes:
        return self._jobs[at].text()

    @functools.cached_property
    def _jobs(self) -> list[Job]:
        return read_jobs(self._body)


def _is_list(body: bytes) -> bool:
    return body.lstrip(b" \t\n\r").startswith(b"[")


def _addressed(envelope: _Envelope[_J]) -> list[_J]:
    """Assign each job its destination, in the compacted form."""
    jobs, destinations = envelope.input, envelope.destinations
    if destinations is None:
        return jobs
    ending, found, misses = _NOTHING_ENDS_SO, _NULL, 0
    beside: Beside
    for beside in jobs:
        if misses <= _MISSES:
            metadata = bytes(beside.metadata)
            if metadata.endswith(ending):
                beside.destination = found
                continue
            misses += 1
            ending = _ending(metadata)
        found = destinations.get(_address(beside.metadata), _NULL)
        beside.destination = found
    return jobs


def _ending(metadata: bytes) -> bytes:
    """Cut off the end of metadata, from the comma before the address.

    Other metadata that ends so has the same address, and most of a request does: to compare ends
    takes a fifth of what decoding takes. For where JSON has a quote after a comma, a name begins,
    or it would follow the end of a text; and what completes one object completes any. Of a name
    that is there twice, the last one counts.

    Returns:
        `_NOTHING_ENDS_SO`, if the address is not among the last members that complete the object.
    """
    ending = metadata[metadata.rfind(_ADDRESS, -_LONGEST_END) :]
    return ending if _address(b"{" + ending[1:]) else _NOTHING_ENDS_SO


def destination_type(body: bytes) -> str:
    """Read the `destType` of a `/routerTransform` request.

    Raises:
        Reject: `invalid_json`.
    """
    try:
        return _decode_type(body).dest_type
    except UNDECODABLE:
        found = decode_json(members(body).get("destType", b'""'))[0]
    return found if isinstance(found, str) else ""


def _listed(text: bytes) -> list[Job]:
    try:
        return _decode_jobs(text)
    except UNDECODABLE:
        return [_job(item) for item in split_list(text)]


def _job(item: bytes) -> Job:
    try:
        return msgspec.json.decode(item, type=Job)
    except UNDECODABLE:
        pass
    try:
        found = members(item)
    except Reject:
        return Job(message=msgspec.Raw(item))
    metadata = _standard(found.get("metadata", b"{}"))
    return Job(
        message=msgspec.Raw(found.get("message", b"null")),
        metadata=_NO_METADATA if metadata is None else metadata,
        destination=_standard(found.get("destination", b"null")) or _NULL,
    )


def _standard(text: bytes) -> msgspec.Raw | None:
    """Keep standard JSON as it is. Rewrite JSON that had to be mended to be read."""
    try:
        return msgspec.json.decode(text, type=msgspec.Raw)
    except UNDECODABLE:
        pass
    try:
        return msgspec.Raw(msgspec.json.encode(decode_json(text)[0]))
    except _UNFIT:
        return None


def as_utf8(raw: msgspec.Raw) -> msgspec.Raw:
    """Replace bytes that are not UTF-8, over which a decoder skips, as `decode_json` does."""
    text = bytes(raw)
    return raw if is_utf8(text) else msgspec.Raw(text.decode("utf-8", "replace").encode())


def _opened(body: bytes) -> _Envelope[Job]:
    try:
        return _decode_envelope(body)
    except UNDECODABLE:
        found = members(body)
    return _Envelope(_listed(found.get("input", b"[]")), _by_id(found.get("destinations")))


def _by_id(text: bytes | None) -> dict[str, msgspec.Raw] | None:
    if text is None:
        return None
    return {name: msgspec.Raw(value) for name, value in members(text).items()}


def _address(metadata: msgspec.Raw | bytes) -> str:
    """Read which destination the compacted form means."""
    try:
        return _decode_address(metadata).destination_id
    except UNDECODABLE:
        return ""
