"""RudderStack's destination-transformer protocol: answers rudder-server for installed destinations.

Jobs come in (`jobs`): an event, its metadata and its destination. Outputs go out, one by one
(`processing`) or many at a time (`router_batches`, written as `sequences` says). The `proxy` sends
what rudder-server hands to it (`carrying_out`). Requests for other destinations go to the
transformer behind this one (`upstream`). Open `app` first.
"""
