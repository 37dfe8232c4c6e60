"""Finds installed destinations by entry point, and loads them or refuses them with a reason.

The input is a name, and the output a `LoadedPlugin` with its own plugin manager. `breaches` finds
what pluggy would let pass, and `code_transformations` loads transformations in code. Open `loading`
first.
"""
