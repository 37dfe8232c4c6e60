"""Requests → the vendor, in order, within its quotas."""
