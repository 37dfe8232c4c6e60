"""Where events come in over HTTP: RudderStack's gateway protocol → the event log.

In comes a request of an SDK; when it is answered with 200, its events are in the log, complete
(`enrichment`). `write_keys` says who sends, `replies` what they are told, `body_room` how much may
be in memory at once. Open `app` first.
"""
