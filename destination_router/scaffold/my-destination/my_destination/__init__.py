"""My Destination: a destination for destination-router."""
