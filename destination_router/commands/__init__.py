"""The command line. The module of a command parses, calls what does the work, and reports.

An option is in its command's module. `options` has those that several commands share, and
`from_file` those of `try` and `send`. `cli` is the table of commands, `output` has output and exit
statuses, and `decision_output` shows decisions. Open the command that you look for.
"""
