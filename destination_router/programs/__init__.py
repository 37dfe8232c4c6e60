"""Destinations that are programs: any language, JSON lines over standard input and output.

In comes a command, out comes a `LoadedPlugin` whose hooks ask the process. `lines` is the protocol,
pure; `process` is one running process; `program` starts it, again where it must, and holds it to
its limits; `destination` makes hooks of it. Open `destination`. The protocol is in
docs/programs.md.
"""
