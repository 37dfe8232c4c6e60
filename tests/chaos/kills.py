"""Which process of a router is killed when: worked out from the seed before anything runs."""

from __future__ import annotations

import random

import msgspec

WORKER_KILLS = 0.6
"""Which share of the kills hits a worker, of a router that has any."""


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill.

    Attributes:
        moment: how much of its share of the traffic is in before, from 0 to 1.
        nap: seconds from then on: while events come in, or later, while they go out, fail and are
            tried again.
        router: which of the routers.
        worker: which of its workers, the oldest is 0, counted round where fewer are at work; None:
            the router itself.
    """

    moment: float
    nap: float
    router: int
    worker: int | None


def planned_kills(seed: int, count: int, *, routers: int = 1, workers: int = 0) -> list[Kill]:
    """Plan the kills of a run: the same for the same arguments.

    Two kills or more hit a worker at least once, and the router itself at least once, if it has
    workers: a short run kills both, whatever the seed.
    """
    chance = random.Random(f"kills {seed}")
    hits = [workers > 0 and chance.random() < WORKER_KILLS for _ in range(count)]
    if workers and count > 1 and len(set(hits)) == 1:
        odd = chance.randrange(count)
        hits[odd] = not hits[odd]
    return [
        Kill(
            moment=chance.random(),
            nap=chance.uniform(0.0, chance.choice([0.05, 0.6])),
            router=chance.randrange(routers),
            worker=chance.randrange(workers) if hit else None,
        )
        for hit in hits
    ]
