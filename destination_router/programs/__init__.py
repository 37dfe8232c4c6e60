"""Runs destinations that are programs in any language, over JSON lines on standard streams.

The input is a command, and the output a `LoadedPlugin` whose hooks ask the process. `lines` is the
protocol (pure), and `process` one running process. `program` starts and restarts it, and enforces
its limits. `destination` makes hooks of it: open that first. docs/programs.md describes the
protocol.
"""
