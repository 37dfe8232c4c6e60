from conformance import DestinationSuite


class TestMixpanel(DestinationSuite):
    destination = "mixpanel"
