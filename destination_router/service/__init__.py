"""A running process: from a router.toml to a gateway and workers that start, run and end together.

`connections` makes configured connections ready, and `checking` reports what is wrong with them.
`router` runs everything, and ends it when `signals` says so. `changes` compares a changed file.
`workers` keeps one worker alive for each connection. `health`, `metrics` and `logs` report on the
process. `alerts` posts what `alert_rules` decides and `alert_messages` writes. `replayable` finds
dead letters that can come back. `serving` puts an app on a socket, and `door` and `protocol` bound
what clients may use. Open `router` first.
"""
