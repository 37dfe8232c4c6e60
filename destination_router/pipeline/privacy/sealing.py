"""What a dead letter of a connection in HIPAA mode keeps: the message as masked, under a seal.

A letter that is replayed comes back through the pipeline. The seal, made with the masking keys,
says that it went through transformations and masking already, so that neither happens twice; and
nobody without the keys can write one that gets around them.

The body is the message's own JSON, with two fields in front: `_masked`, the seal, and `_takers`,
the numbers of the connection's subscriptions that took it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from destination_router.contract.messages import Message, root_names
from destination_router.contract.records import Reject
from destination_router.pipeline.privacy.hipaa import DEFINED
from destination_router.pipeline.privacy.masking import MaskingKeys

# Anybody may write what looks like a seal: its version has no more digits than a key's name may.
_SEALED = re.compile(
    rb'\{"_masked":"(v[1-9][0-9]{0,5}_[0-9a-f]{64})",("_takers":\[([0-9,]*)\],[\s\S]*)'
)
_MARK = b'{"_masked":'


def is_marked(body: bytes) -> bool:
    """Tell whether a message says that it is sealed."""
    return body.startswith(_MARK)


def seal_version(body: bytes) -> int | None:
    """Tell which version of its keys a message was sealed with; None for one without a seal."""
    found = _SEALED.fullmatch(body)
    return None if found is None else int(found[1][1:].partition(b"_")[0])


def sealed(
    message: Message, subscriptions: Sequence[int], connection: str, keys: MaskingKeys
) -> bytes:
    """Write what a dead letter keeps.

    Args:
        message: as masked.
        subscriptions: which of the connection's subscriptions took it, from 0.
        connection: the connection's name.
        keys: the connection's.
    """
    numbers = ",".join(map(str, subscriptions)).encode()
    fields = {**msgspec.to_builtins(message), "context": message.context}
    own = msgspec.json.encode(fields)[1:]
    others = {name: message.wire[name] for name in sorted(root_names(message) - DEFINED)}
    if others:  # what passed of the fields that no call defines stands in the wire alone
        own = msgspec.json.encode(others)[1:-1] + b"," + own
    content = b'"_takers":[' + numbers + b"]," + own
    seal = keys.seal(_purpose(connection), content).encode()
    return _MARK + b'"' + seal + b'",' + content


def opened(body: bytes, connection: str, keys: MaskingKeys) -> tuple[int, ...]:
    """Check a seal, and say which subscriptions took the message.

    Raises:
        Reject: `unknown_seal`: it is another connection's, or was made with another key.
    """
    found = _SEALED.fullmatch(body)
    if found is None or not keys.is_sealed(_purpose(connection), found[2], found[1].decode()):
        version = seal_version(body)
        key = "a key" if version is None else f"a key v{version}"
        detail = f"was masked for another connection, or with {key} that is not configured here"
        raise Reject("unknown_seal", detail, "_masked")
    return tuple(int(number) for number in found[3].split(b",") if number)


def _purpose(connection: str) -> str:
    return f"dead letter of {connection}"
