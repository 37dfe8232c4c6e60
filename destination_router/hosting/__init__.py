"""A connection, or a whole router, as an object in another program.

`destination_router` imports it when you ask for `connect`, `Router` or `BlockingRouter`.
`host_connection` decides, packs and reads answers, and does no I/O. `host_router` takes events and
delivers them in the program's event loop. `blocking_router` does so for a program without one.
Open `host_connection` first.
"""
