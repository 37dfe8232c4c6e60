"""A process at work: from a router.toml to a gateway and workers that start, run and end together.

`connections` makes what was typed or configured ready, `checking` tells what is wrong with it.
`router` runs it, and ends it when `signals` says so; `changes` tells what a changed file changes.
`workers` keeps one worker for each connection alive, `health`, `metrics` and `logs` tell how it
goes, `alerts` tells people when something is wrong, which `alert_rules` decides and
`alert_messages` writes. `replayable` tells which dead letters can come back, `serving` puts an app
on a socket, where `door` and `protocol` bound what clients may take. Open `router` first.
"""
