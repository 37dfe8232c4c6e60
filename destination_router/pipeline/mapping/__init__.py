"""A connection's own field mapping, in Segment's mapping language, compiled to functions. Pure.

The input is a typed message. In the output, the mapped fields are replaced, before the plugin's
hook sees it. `directives` has every directive. Open `field_mapping` first.
"""
