"""`GET /features`: what rudder-server may ask of this transformer and of the upstream.

Without an upstream it is the least that rudder-server starts with. With one it is the upstream's,
with our destinations added: what the upstream does not offer, such as the compacted form, must not
be offered in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from destination_router.contract.records import Json
from destination_router.transformer.destinations import Destinations

STAND_IN: dict[str, Json] = {
    "routerTransform": {},
    "regulations": [],
    "supportSourceTransformV1": True,
    "upgradedToSourceTransformV2": True,
    "supportTransformerProxyV1": True,
    "supportDestTransformCompactedPayloadV1": True,
}
"""For rudder-server without a transformer; one of the two source flags must be there."""

UNKNOWN_UPSTREAM = {**STAND_IN, "supportDestTransformCompactedPayloadV1": False}
"""For an upstream that does not answer: the features that every one has."""


def features(base: Mapping[str, Json], destinations: Mapping[str, Destinations]) -> dict[str, Json]:
    """Add our destinations to a set of features.

    Args:
        base: the upstream's, or one of those above.
        destinations: ours. Only one that packs gains from being asked by the router; only one that
            deletes users can be asked to.
    """
    theirs: Any = base.get("routerTransform")
    ours = {name.upper(): True for name, found in destinations.items() if found.packs}
    regulations: Any = base.get("regulations")
    deletable = regulations if isinstance(regulations, list) else []
    deleting = [name.upper() for name, found in destinations.items() if found.deletes]
    return {
        **base,
        "routerTransform": {**(theirs if isinstance(theirs, dict) else {}), **ours},
        "regulations": [*deletable, *(name for name in deleting if name not in deletable)],
    }
