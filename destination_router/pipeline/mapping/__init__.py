"""A connection's own field mapping, in Segment's mapping language, compiled to functions. Pure.

In comes a typed message, out comes one in which the mapped fields are replaced, before the plugin's
hook sees it. `directives` has every directive. Open `field_mapping` first.
"""
