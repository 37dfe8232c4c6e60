"""`/sourceConfig`: what RudderStack's browser SDK asks before it sends anything.

It is told that its source is enabled, and which destinations it loads by itself, in device mode.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from destination_router.config.router_toml import DEFAULT_SOURCE
from destination_router.contract.records import Json
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import PluginError

_WORKSPACE = "router"
_QUIET: dict[str, Json] = {
    "statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}
}
"""The SDK reports neither errors nor metrics to anyone."""


class _ClientSide(msgspec.Struct, rename="camel"):
    """What `client_side` returns."""

    name: str
    display_name: str
    config: dict[str, Any]


def device_destinations(connections: Iterable[Connection]) -> list[dict[str, Json]]:
    """Describe those connections that are client-side, as the browser SDK reads destinations.

    Raises:
        PluginError: a plugin cannot be loaded by browsers, or says so in a wrong form.
    """
    return [_described(connection) for connection in connections if connection.client_side]


def source_config(
    write_key: bytes, name: str, destinations: Sequence[dict[str, Json]], *, enabled: bool = True
) -> dict[str, Json]:
    """Answer for one source.

    Args:
        write_key: the source's; the id of the one that has no name of its own is made from it and
            does not tell it.
        name: the source's. A key that is rotated leaves its id as it is.
        destinations: `device_destinations`.
        enabled: whether it may send.
    """
    unnamed = name == DEFAULT_SOURCE
    return {
        "source": {
            "id": _id("source", write_key if unnamed else name.encode()),
            "name": "router" if unnamed else name,
            "enabled": enabled,
            "workspaceId": _WORKSPACE,
            "config": _QUIET,
            "destinations": list(destinations),
        }
    }


def _described(connection: Connection) -> dict[str, Json]:
    plugin = connection.plugin
    if connection.treatment.privacy is not None:
        name = connection.name
        raise PluginError(f"connection {name!r}: HIPAA mode is server-side only; drop clientSide")
    if "client_side" not in plugin.capabilities:
        raise PluginError(
            f"connection {connection.name!r}: {plugin.name} cannot be loaded by a browser; "
            "drop clientSide"
        )
    try:
        told = msgspec.convert(plugin.hook.client_side(settings=connection.settings), _ClientSide)
    except msgspec.ValidationError as error:
        raise PluginError(f"plugin {plugin.name!r}: client_side: {error}") from None
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- its words may say more than its place
        text = f"plugin {plugin.name!r}: client_side failed: {whereabouts(error)}"
        raise PluginError(text) from None
    definition = _id("definition", told.name.encode())
    return {
        "id": _id("destination", connection.name.encode()),
        "name": connection.name,
        "enabled": True,
        "config": {
            "connectionMode": "device",
            "useNativeSDK": True,
            "eventFilteringOption": "disable",
            **told.config,
        },
        "destinationDefinitionId": definition,
        "destinationDefinition": {"name": told.name, "displayName": told.display_name},
        "shouldApplyDeviceModeTransformation": False,
        "propagateEventsUntransformedOnError": False,
    }


def _id(kind: str, name: bytes) -> str:
    digest = hashlib.sha256(kind.encode() + b"\0" + name).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
