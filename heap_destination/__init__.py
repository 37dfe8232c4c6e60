"""Heap as a destination."""
