"""One message → what a connection makes of it: requests, a rejection, or a reason why not. Pure.

In comes a message as JSON, out comes a `Decision`. `connection` holds the steps in their order:
`normalise`, then `preparation` (`consent`, transformations, `integrations`, subscriptions,
privacy), the field mapping, the plugin's hook, and the check of its answer (`answers`). `packing`
puts the requests of several messages together. `wire` cuts JSON without decoding it. Open
`connection` first.
"""
