"""RudderStack's destination-transformer protocol: rudder-server asks, our destinations answer.

A request goes `app.py` → `jobs.py` (its events, each with its destination) → `destinations.py`
(a destination's configuration → a `Connection`) → `processing.py` (one by one) or
`router_batches.py` (packed) → `rest.py` (what rudder-server shall send). `proxy.py` sends for
rudder-server; `upstream.py` passes on what is not ours. The protocol is that of rudder-server and
rudder-transformer, as published.
"""
