"""Takes events over HTTP, by RudderStack's gateway protocol, into the event log.

The input is a request of an SDK. When the answer is 200, its events are in the log, and complete
(`enrichment`). `write_keys` identifies the sender, `replies` has all answers, and `body_room`
bounds the memory of bodies. Open `app` first.
"""
