"""Purity: a destination only maps. The host does all I/O."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import msgspec

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import Sent, case_traffic, generated_traffic, plain_traffic
from conformance.compare import Difference, differences
from conformance.subject import request_json
from conformance.watch import touched
from destination_router import Reject
from destination_router.pipeline.connection import Decision
from destination_router.pipeline.normalise import normalise

_EVERY = 4  # the generated messages come in hundreds, and the profiler is slow


def _traffic(bed: Bed) -> Iterator[Sent]:
    yield from plain_traffic(bed)
    yield from case_traffic(bed)
    yield from list(generated_traffic(bed))[::_EVERY]


def _same_output(bed: Bed) -> Iterator[Difference]:
    for sent in _traffic(bed):
        yield from differences(_shown(sent.decide()), _shown(sent.decide()), sent.path)


def _input_unchanged(bed: Bed) -> Iterator[Difference]:
    for sent in _traffic(bed):
        try:
            normalised = normalise(sent.raw, message_id=sent.path)
        except Reject:
            continue
        before = copy.deepcopy(normalised.message)
        settings = copy.deepcopy(sent.connection.settings)
        sent.connection.decide_message(normalised)
        if normalised.message != before:
            yield Difference(sent.path, "a message that the hook changed", "the message as it was")
        if sent.connection.settings != settings:
            yield Difference(sent.path, "settings that the hook changed", "settings as they were")


def _no_io(bed: Bed) -> Iterator[Difference]:
    for sent in _traffic(bed):
        with touched() as found:
            sent.decide()
        if found:
            yield Difference(sent.path, ", ".join(dict.fromkeys(found)), "nothing touched")


def _shown(decision: Decision) -> dict[str, object]:
    return {
        "result": decision.result,
        "requests": [request_json(request) for request in decision.requests],
        "reject": msgspec.to_builtins(decision.reject),
        "notes": msgspec.to_builtins(decision.notes),
    }


CHECKS = (
    Check(
        id="check/purity-same-output",
        title="The same message gives the same requests and notes, every time",
        run=_same_output,
    ),
    Check(
        id="check/purity-input-unchanged",
        title="A hook changes neither its message nor its settings",
        run=_input_unchanged,
    ),
    Check(
        id="check/purity-no-io",
        title="A hook touches no socket, no file, no process, no clock and no chance",
        run=_no_io,
    ),
)
