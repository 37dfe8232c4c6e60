"""A stand-in for a webhook's receiver, as an ASGI app: it takes what it was promised, and no more.

It judges whatever is sent to it, the plugin included, so it shares no code with it: a shared
mistake would go unseen. What nobody promised, it refuses.

A request goes `app.py` (method, credentials, signature, size) → `bodies.py` (which events does it
hold?) → `store.py` (what has the receiver then?). `faults.py` makes it fail on demand.
"""

from webhook_destination.simulator.app import create_simulator
from webhook_destination.simulator.promise import Promise

__all__ = ["Promise", "create_simulator"]
