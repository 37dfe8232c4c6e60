"""At home in somebody else's program: a connection, or a whole router, as an object.

Imported by `destination_router` once somebody asks it for `connect`, `Router` or `BlockingRouter`.
`host_connection` decides, packs and reads answers, and does no I/O; `host_router` takes events and
delivers them in the host's event loop; `blocking_router` does so for a host without one. Open
`host_connection` first.
"""
