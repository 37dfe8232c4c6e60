"""The checks that need no case: what every destination must do, whatever its vendor."""

from __future__ import annotations

from conformance.checks import (
    identifiers,
    loading,
    members,
    notes,
    origins,
    packing,
    personal,
    purity,
    requests,
    robustness,
    schema,
    settings,
)
from conformance.checks.check import Check

CHECKS: tuple[Check, ...] = (
    *loading.CHECKS,
    *schema.CHECKS,
    *purity.CHECKS,
    *requests.CHECKS,
    *origins.CHECKS,
    *identifiers.CHECKS,
    *settings.CHECKS,
    *robustness.CHECKS,
    *personal.CHECKS,
    *packing.CHECKS,
    *notes.CHECKS,
    *members.CHECKS,
)
"""Every check. Fix failures in this order."""

__all__ = ["CHECKS", "Check"]
