"""What is changed in messages before they are mapped: an ordered list of steps. Pure.

In comes a typed message, out comes a changed copy, or nothing where a step dropped it. `operations`
is the table of what a step can do; the rest is what operations share. Open `steps` first.
"""
