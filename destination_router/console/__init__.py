"""The console: web pages that show what comes in, what goes out, and why.

`app` puts it together and maps paths to pages. `start` serves it, in `run` or in a process of its
own. `guard` and `sessions` decide who may ask for what. `desk` gives every page the configuration,
the event log, and the traces that workers keep. Open `app` first.
"""
