"""One message → a connection's decision: requests, a rejection, or a reason to send nothing. Pure.

A message comes in as JSON, and a `Decision` goes out. `connection` holds the steps in their order:
`normalise`, then `preparation` (`consent`, transformations, `integrations`, subscriptions,
privacy), the field mapping, the plugin's hook, and the check of its answer (`answers`). `packing`
puts the requests of several messages together. `wire` cuts JSON without decoding it. Open
`connection` first.
"""
