"""The router passes its own suite: what it does to messages before any destination sees them."""

from conformance import DestinationSuite


class TestRouter(DestinationSuite):
    destination = "router"
