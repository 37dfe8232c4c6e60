"""RudderStack's destination-transformer protocol: rudder-server asks, our destinations answer.

In come jobs (`jobs`): an event, its metadata and its destination. Out come outputs, one by one
(`processing`) or many at a time (`router_batches`, written as `sequences` says). What rudder-server
hands to the `proxy` is sent by us (`carrying_out`). What is not ours goes to the transformer behind
us (`upstream`). Open `app` first.
"""
