"""Which fields a connection's messages have where privacy sees them: for `privacy report`."""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.config.router_toml import ConnectionConfig
from destination_router.pipeline.normalise import normalise
from destination_router.pipeline.privacy.masking import MaskingKeys
from destination_router.pipeline.privacy.report import Report
from destination_router.pipeline.transformations.operations import Surroundings
from destination_router.pipeline.transformations.steps import Transformations

_NO_KEYS = MaskingKeys({1: bytes(32)})
"""The report shows no value, so it needs no key, and whoever runs it need not have one."""


def steps_before_privacy(config: ConnectionConfig | None) -> list[Transformations]:
    """Make what a connection does to messages before privacy sees them; nothing if None.

    Raises:
        SettingsError: a transformation cannot be made.
    """
    if config is None:
        return []
    around = Surroundings(connection=config.name, keys=_NO_KEYS, private=True)
    return [
        Transformations(config.shared.transformations, around, "[transformations] "),
        Transformations(config.transformations, around),
    ]


def add_message(raw: bytes, steps: Sequence[Transformations], report: Report) -> None:
    """Report a message as privacy would see it: after the transformations, if it passes them.

    Raises:
        Reject: it cannot be read.
    """
    message = normalise(raw).message
    for step in steps:
        done = step.apply(message).message
        if done is None:
            return
        message = done
    report.add(message)
