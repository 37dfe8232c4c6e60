"""transformations."""
