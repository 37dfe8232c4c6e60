"""RudderStack's destination-transformer protocol: rudder-server asks, our destinations answer.

In come jobs (`jobs`): an event, its metadata and its destination. Out come outputs, one by one
(`processing`), packed (`router_batches`), or sent by us (`proxy`). What is not ours goes to the
transformer behind us (`upstream`). Open `app` first.
"""
