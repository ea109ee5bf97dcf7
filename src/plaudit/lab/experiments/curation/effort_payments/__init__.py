"""Annotators who learn whether looking pays."""
