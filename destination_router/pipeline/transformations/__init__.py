"""Changes messages before they are mapped, by an ordered list of steps. Pure.

The input is a typed message. The output is a changed copy, or nothing if a step dropped it.
`operations` is the table of operations, and the other modules are what they share. Open `steps`
first.
"""
