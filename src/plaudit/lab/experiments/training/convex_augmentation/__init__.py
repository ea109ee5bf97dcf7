"""Convex combinations of pairs."""
