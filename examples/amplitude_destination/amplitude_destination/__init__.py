"""Amplitude: a destination for destination-router."""
