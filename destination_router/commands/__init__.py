"""The command line: a module for each command, which parses, calls what does the work, and tells.

An option stands in its command's module; `options` has those that several share, `from_file` what
`try` and `send` share. `cli` is the table of commands, `output` where a command talks and how it
ends, `decision_output` how a decision is shown. Open the command that you look for.
"""
