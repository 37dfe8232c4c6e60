"""What a compiled wheel is laid out for: requests to the transformer, and a router's whole way.

`scripts/build-compiled` runs it once, with a wheel that notes which way each branch went.
"""

from __future__ import annotations

import contextlib

import msgspec
import workloads
from transformer import bodies

from destination_router.pipeline import connection
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process
from destination_router.transformer.router_batches import batch_jobs

_ROUNDS = 10
_EVENTS = 4000


def main() -> None:
    """Transform the benchmark's requests in every way that rudder-server asks for, and deliver."""
    if connection.__file__.endswith(".py"):
        raise SystemExit(f"{connection.__file__} is not compiled: nothing would be learnt")
    heap = find_destinations()["heap"]
    for form in ("compacted", "plain"):
        for body in bodies(form) * _ROUNDS:
            process("heap", heap, body, str)
    for body in bodies("plain"):
        batch_jobs("heap", heap, msgspec.json.encode({"input": msgspec.Raw(body)}), str)
    for work in (workloads.gateway, workloads.deliver):
        work(contextlib.nullcontext, _EVENTS)


if __name__ == "__main__":
    main()
