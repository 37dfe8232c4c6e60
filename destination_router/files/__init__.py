"""Messages from files: reads them line by line, sends them, and resumes an interrupted run.

All commands that take a file use `reading`. `sending` is what `send` does. Open `sending` first.
"""
