"""The command line: a module for each command, which parses, calls what does the work, and tells.

`cli` is the table of commands, `options` the options that several share, `from_file` what `try` and
`send` share, `output` where a command talks and how it ends, `decision_output` how a decision is
shown. Open `cli` first.
"""
