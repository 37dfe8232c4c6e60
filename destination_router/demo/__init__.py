"""The demo: a real SDK, the router and a simulated vendor in one process.

`traffic` has the messages that the SDK sends, `stage` puts the parts together, and `recorder`
stands in for a vendor without a simulator. Open `stage` first.
"""
