"""A webhook as a destination: every event to a URL of your own."""
