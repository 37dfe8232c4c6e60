"""The demo: a real SDK, the router and a simulated vendor in one process.

`traffic` is what the SDK sends, `stage` puts the parts together, `recorder` stands in for a vendor
that has no simulator. Open `stage` first.
"""
