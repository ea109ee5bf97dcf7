"""Pairs that share a beginning."""
