"""Deliberate defects of real destinations: the suite is worth what it catches of them.

Each is a slip that somebody could make. A test applies every one to the real plugin, and names
those that no case and no check catches.
"""

from conformance.mutants.mutation import Mutant, MutantError, caught_by, mutated

__all__ = ["Mutant", "MutantError", "caught_by", "mutated"]
