"""Explains to rudder-server why an event has no output: status, text and statistics' tags.

200 is routed, 298 is filtered, and 400 is aborted: the same event would fail again, so nothing
here ever asks for a retry.
"""

from __future__ import annotations

import msgspec

from destination_router.contract.records import Reject
from destination_router.pipeline.connection import Decision, Mapped, Refusal
from destination_router.pipeline.decisions import decided

ROUTED = 200
FILTERED = 298
ABORTED = 400

_FAULTS = {
    "message": {"errorCategory": "dataValidation", "errorType": "instrumentation"},
    "configuration": {"errorCategory": "dataValidation", "errorType": "configuration"},
    "transformation": {"errorCategory": "transformation"},
    "network": {"errorCategory": "network"},
}


class EventStatus(msgspec.Struct, frozen=True):
    """The answer for an event that is not sent.

    Attributes:
        status: 298 or 400.
        error: why, without personal values.
        fault: whose: the `message`'s, the `configuration`'s, the plugin's (`transformation`), or
            the vendor's (`network`); empty for what is filtered.
    """

    status: int
    error: str
    fault: str = ""

    def tags(self, feature: str, name: str, metadata: msgspec.Raw) -> dict[str, str] | None:
        """Make the tags under which rudder-server counts a failure.

        Args:
            feature: which part of the protocol it is: `processor`, `router`, `dataDelivery`.
            name: the plugin's.
            metadata: the event's, which says whose destination it is.
        """
        if not self.fault:
            return None
        whose = whose_metadata(metadata)
        return {
            "destType": name.upper(),
            "module": "destination",
            "implementation": "native",
            "feature": feature,
            **_FAULTS[self.fault],
            "destinationId": whose.destination_id,
            "workspaceId": whose.workspace_id,
        }


class Whose(msgspec.Struct, rename="camel"):
    """The fields of a metadata object that are read."""

    destination_id: str = ""
    workspace_id: str = ""


_decode_whose = msgspec.json.Decoder(Whose).decode


def whose_metadata(metadata: msgspec.Raw) -> Whose:
    """Read the owner of an event. Unreadable parts are blank."""
    try:
        return _decode_whose(metadata)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Whose()


def given_up(made: Mapped | Decision, why: Reject) -> Decision:
    """Reject an event after all, of which a connection made requests."""
    refusal = Refusal(why.code, why.detail)
    if type(made) is Mapped:
        return decided(made.source, "rejected", reject=refusal, notes=made.notes)
    return msgspec.structs.replace(made, result="rejected", reject=refusal, requests=())


def event_status(decision: Decision) -> EventStatus:
    """Make the answer for a decision not to send."""
    reject = decision.reject
    if reject is None:
        return EventStatus(FILTERED, decision.reason or "not for this destination")
    fault = "transformation" if reject.code == "plugin_error" else "message"
    return EventStatus(ABORTED, _words(reject), fault)


def _words(reject: Refusal) -> str:
    return f"{reject.code}: {reject.detail}"
