"""The Heap destination passes its own suite, by the five lines that any destination writes."""

from conformance import DestinationSuite


class TestHeap(DestinationSuite):
    destination = "heap"
