"""Mixpanel as a destination."""
