"""The documented message-to-payload cases as data, and a suite that runs them.

For the author of a destination, a host that vets plugins, and a vendor: `docs/conformance.md`.
"""

from conformance.suite import DestinationSuite

__all__ = ["DestinationSuite"]
