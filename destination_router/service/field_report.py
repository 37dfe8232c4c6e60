"""Reports the fields of messages as privacy sees them, for `privacy report`."""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.config.router_toml import ConnectionConfig
from destination_router.pipeline.normalise import normalise
from destination_router.pipeline.privacy.masking import MaskingKeys
from destination_router.pipeline.privacy.report import Report
from destination_router.pipeline.transformations.operations import Surroundings
from destination_router.pipeline.transformations.steps import Transformations

_NO_KEYS = MaskingKeys({1: bytes(32)})
"""A made-up key. The report shows no value, so it does not need the real one."""


def steps_before_privacy(config: ConnectionConfig | None) -> list[Transformations]:
    """Make the steps of a connection before privacy; none if there is no connection.

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
    """Report a message as privacy sees it: after the transformations, if it passes them.

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
