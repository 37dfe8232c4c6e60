"""The console: a web page on what comes in, what goes out, and why.

`app` puts it together and says which path is which page; `start` serves it, in `run` or in a
process of its own. `guard` and `sessions` say who may ask for what. `desk` is what every page
stands on: the configuration, the event log, and the traces that workers keep. Open `app` first.
"""
