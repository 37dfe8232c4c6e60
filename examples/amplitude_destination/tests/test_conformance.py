"""The documented cases, and the checks that every destination passes."""

from conformance import DestinationSuite


class TestAmplitude(DestinationSuite):
    """One test for each case and check."""

    destination = "amplitude"
