"""The documented cases, and the checks that every destination passes."""

from conformance import DestinationSuite


class TestWebhook(DestinationSuite):
    """One test for each case and check."""

    destination = "webhook"
