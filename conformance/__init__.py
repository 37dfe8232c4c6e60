"""The documented message-to-payload cases as data, and a suite that runs them."""
