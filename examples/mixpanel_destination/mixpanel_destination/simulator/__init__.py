"""A stand-in for Mixpanel's ingestion API that enforces its documented rules, as an ASGI app.

It judges whatever sends to Mixpanel, the plugin included, so it shares no code with it, not even
the limits: a shared mistake would go unseen. What Mixpanel does not document, it refuses.

A request goes `app.py` (HTTP, credentials, size) → `rules.py` (is this record valid?) →
`project.py` (what does the project then hold?). `faults.py` makes it fail on demand.
"""

from mixpanel_destination.simulator.app import create_simulator

__all__ = ["create_simulator"]
