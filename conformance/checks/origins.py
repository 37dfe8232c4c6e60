"""Origins: requests go to the origins that the destination names.

If the destination does not name an origin that it sends to, the host cannot divert it and warns
nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import case_traffic, plain_traffic
from conformance.compare import Difference
from destination_router.config.origins import plain_origin


def _named(bed: Bed) -> Iterator[Difference]:
    for sent in (*plain_traffic(bed), *case_traffic(bed)):
        known = {plain_origin(origin) for origin in sent.connection.origins or ()}
        for index, request in enumerate(sent.decide().requests):
            if plain_origin(request.url) not in known:
                path = f"{sent.path}.requests.{index}.url"
                yield Difference(path, request.url, "an origin that the hook origins names")


CHECKS = (
    Check(
        id="check/origins-named",
        title="Every request goes to an origin that the hook origins names",
        run=_named,
        needs=("origins",),
    ),
)
