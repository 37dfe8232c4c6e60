from conformance import DestinationSuite


class TestMyDestination(DestinationSuite):
    destination = "my-destination"
