"""Destinations that are installed: found by entry point, loaded, or refused with a reason.

In comes a name, out comes a `LoadedPlugin` with a plugin manager of its own. `breaches` is what
pluggy would let pass; `code_transformations` loads transformations that are code. Open `loading`.
"""
