"""Messages from files: read line by line, sent through a worker, and resumed where a run ended.

`reading` is for all commands that take a file; `sending` is what `send` does. Open `sending` first.
"""
