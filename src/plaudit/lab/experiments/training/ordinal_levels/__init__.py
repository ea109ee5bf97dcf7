"""Ordered levels with learned thresholds."""
