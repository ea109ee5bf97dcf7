"""Principles that all annotators name, and those that one names."""
