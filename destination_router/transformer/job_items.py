"""Which items of a bulk are whose job's: written into metadata, and read again by the proxy.

rudder-server hands `destInfo` of a job's metadata back to the proxy as it got it. Without it the
proxy, which sees a bulk and the jobs that it carries, could not tell which refused item is whose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

Places = dict[str, tuple[int, list[int]]]
"""By endpoint: how many items the bulk has, and which of them are the job's."""


class DestInfo(msgspec.Struct, frozen=True):
    """What stands in a job's `destInfo`."""

    items: Places = {}


class _Metadata(msgspec.Struct, rename="camel"):
    dest_info: DestInfo = DestInfo()


_decode_metadata = msgspec.json.Decoder(_Metadata).decode


def with_items(
    metadata: Mapping[str, msgspec.Raw], bulks: Sequence[tuple[str, Sequence[Sequence[str]]]]
) -> list[msgspec.Raw]:
    """Add to each job's metadata where it stands in the bulk requests.

    Args:
        metadata: by the id under which the requests carry the job.
        bulks: of each request that is sent for the jobs its endpoint and, by id, whose each of
            its items is. Of two to one endpoint nothing is written: they could not be told apart.
    """
    places: dict[str, Places] = {}
    endpoints = [endpoint for endpoint, _ in bulks]
    for endpoint, items in bulks:
        if len(items) > 1 and endpoints.count(endpoint) == 1:
            for at, item in enumerate(items):
                for index in item:
                    own = places.setdefault(index, {})
                    own.setdefault(endpoint, (len(items), []))[1].append(at)
    return [
        _with_info(raw, places[index]) if index in places else raw
        for index, raw in metadata.items()
    ]


def item_places(metadata: msgspec.Raw, endpoint: str, items: int) -> list[int]:
    """Read which items of a bulk are a job's.

    Args:
        metadata: the job's.
        endpoint: where the bulk goes.
        items: how many items it has; a bulk with another number is not the one that was meant.
    """
    try:
        count, places = _decode_metadata(metadata).dest_info.items.get(endpoint, (0, []))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    return places if count == items else []


def _with_info(metadata: msgspec.Raw, places: Places) -> msgspec.Raw:
    """Write `destInfo` in front of all that is there, which stays as it was written."""
    raw = bytes(metadata).strip()
    if not raw.startswith(b"{") or b'"destInfo"' in raw:
        return metadata
    comma = b"" if raw[1:].lstrip().startswith(b"}") else b","
    info = b'"destInfo":' + msgspec.json.encode(DestInfo(places))
    return msgspec.Raw(b"{" + info + comma + raw[1:])
